"""A supervisor over real worker processes for tests: bundles from source text, logs as a list, members from a dictionary.

Its bundles are of the plain kind (`showground.worker.plain`): one file with `async def run(invocation, payload, call)`.
"""

from __future__ import annotations

import hashlib
import random
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from textwrap import dedent
from types import TracebackType
from typing import Any, Self

from showground.clock import Clock, SystemClock
from showground.hookspecs import Extend, Method
from showground.keys import InstallationId
from showground.model import AppVersion, Invocation, Limits, Registration
from showground.supervisor import Broker, LogRecord, Policy, Supervisor
from showground.worker.spawning import Level

PLAIN = "showground.worker.plain:load_bundle"
SPAWN_S = 30.0
"""How long the zygote may take on a machine that stands still now and then; no test is about it."""


@dataclass(frozen=True)
class Bundle:
    """A bundle on disk."""

    folder: Path
    version: AppVersion


class Members:
    """Context members from a dictionary, in place of plugins; counts how often an invocation asked for them."""

    def __init__(self) -> None:
        self.members: dict[str, tuple[Mapping[str, Method], str | None]] = {}
        self.asked = 0

    def context(self, invocation: Invocation, app: AppVersion, extend: Extend, *_: object) -> None:
        self.asked += 1
        for member, (methods, needs) in self.members.items():
            extend(member, methods, needs)


class Workbench:
    """Use as an async context manager."""

    def __init__(
        self,
        folder: Path,
        *,
        clock: Clock | None = None,
        level: Level = "process",
        policy: Policy | None = None,
        loader: str = PLAIN,
        jitter: random.Random | None = None,
        spawn_s: float = SPAWN_S,
    ) -> None:
        self.logs: list[LogRecord] = []
        self.members = Members()
        self.supervisor = Supervisor(
            Broker(self.members),
            clock or SystemClock(),
            self.logs.append,
            level=level,
            policy=replace(policy or Policy(), spawn_s=spawn_s),
            loader=loader,
            jitter=jitter,
        )
        self._folder = folder
        self._count = 0

    def bundle(
        self, source: str, name: str = "app", capabilities: frozenset[str] = frozenset(), **limits: Any
    ) -> Bundle:
        """Write a plain bundle whose entry is *source*; *limits* are fields of `Limits`."""
        source = dedent(source)
        digest = hashlib.sha256(f"{name} {limits} {sorted(capabilities)} {source}".encode()).hexdigest()
        folder = self._folder / digest[:16]
        folder.mkdir(exist_ok=True)
        (folder / "main.py").write_text(source)
        version = AppVersion(
            app=name,
            version="1.0.0",
            digest=digest,
            entry="main.py",
            limits=Limits(**limits),
            registration=Registration(capabilities=capabilities),
        )
        return Bundle(folder, version)

    def invocation(self, bundle: Bundle, name: str, timeout_s: float = 10.0, community: str = "town") -> Invocation:
        self._count += 1
        app = bundle.version
        return Invocation(
            id=f"call-{self._count}",
            installation=InstallationId(f"{app.app}:{community}"),
            app=app.app,
            app_version=app.version,
            community=community,
            kind="trigger",
            name=name,
            timeout_s=timeout_s,
        )

    async def invoke(
        self, bundle: Bundle, name: str = "go", payload: bytes = b"", timeout_s: float = 10.0, community: str = "town"
    ) -> bytes:
        invocation = self.invocation(bundle, name, timeout_s, community)
        return await self.supervisor.invoke(bundle.version, bundle.folder, invocation, payload)

    async def check(self, bundle: Bundle) -> Registration:
        return await self.supervisor.check(bundle.folder, bundle.version)

    def said(self, stream: str = "host") -> list[str]:
        """The texts of one stream, in order."""
        return [record.text for record in self.logs if record.stream == stream]

    def workers(self) -> list[int]:
        """Process ids of the workers, and of what they left behind: the children of the zygote."""
        zygote = self.supervisor.zygote_pid
        if zygote is None:
            return []
        return [int(pid) for pid in Path(f"/proc/{zygote}/task/{zygote}/children").read_text().split()]

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.supervisor.close()


def alive(pid: int) -> bool:
    """Whether a process of that id exists and is no zombie."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except (FileNotFoundError, ProcessLookupError):
        return False
