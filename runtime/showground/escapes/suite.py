"""Every attempt, made one after the other in one worker, and what became of it."""

from __future__ import annotations

import ast
import asyncio
import hashlib
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Final

from showground.clock import Clock
from showground.errors import ShowgroundError
from showground.escapes.bait import Bait, laid_out
from showground.keys import InstallationId
from showground.model import AppVersion, Invocation, Limits
from showground.supervisor.broker import Broker
from showground.supervisor.supervisor import Supervisor
from showground.worker.spawning import Level

ATTEMPTS: Final = Path(__file__).with_name("attempts.py")
LOADER = "showground.worker.plain:load_bundle"
MEMORY_MB = 64
ATTEMPT_S = 5.0
SUITE_S = 60.0
"""The whole suite took 1.5 s on two cores (2026-11-24); a machine that needs this long is judged by what was made."""

DEADLY: Final = frozenset({"more memory than allowed"})
"""Attempts that end the worker, and nothing else: that is how they are held."""

REMEDIES: Final[Mapping[str, str]] = {
    "files": "Run a kernel of 5.13 or later with Landlock on: `landlock` must stand in /sys/kernel/security/lsm.",
    "network": "Let workers have a network namespace (root, or user namespaces), on a kernel with seccomp filters.",
    "processes": "Run the host as root, or allow user namespaces, so that workers get a user of their own; seccomp must be on.",
    "kernel": "Run a kernel with seccomp filters, and not below a container runtime that swallows them (some sandboxes do).",
    "limits": "Resource limits do not bind here: look for a sandbox or a wrapper that ignores setrlimit.",
    "what came along": "Start the host from a plain service manager; this is otherwise a fault of Showground: report it.",
}
"""Group of attempts → what an operator does when one of it gets out."""


@dataclass(frozen=True, slots=True)
class Outcome:
    """One attempt. It is held only when it was really made and refused."""

    group: str
    name: str
    held: bool
    text: str
    """What the kernel answered, what the attempt got, or why it could not be made."""

    @property
    def remedy(self) -> str:
        return REMEDIES[self.group]


@cache
def names() -> Mapping[str, Sequence[str]]:
    """Group → its attempts, in order; read from the source, so that nothing of it runs here."""
    tree = ast.parse(ATTEMPTS.read_text("utf-8"))
    [table] = [n.value for n in tree.body if isinstance(n, ast.Assign) and ast.unparse(n.targets[0]) == "ATTEMPTS"]
    assert isinstance(table, ast.Dict)
    return {
        ast.literal_eval(group): [ast.literal_eval(key) for key in attempts.keys if key is not None]
        for group, attempts in zip(table.keys, table.values, strict=True)
        if group is not None and isinstance(attempts, ast.Dict)
    }


async def attempt_escapes(
    clock: Clock, groups: Sequence[str] = (), *, level: Level = "confined", deadline_s: float = SUITE_S
) -> list[Outcome]:
    """Make the attempts of *groups*, of all if empty, in a worker at *level*.

    An attempt that could not be made, or not in time, is not held. The bait's loss is an outcome of its own. Raises
    `ShowgroundError` when there can be no worker at that level on this machine.
    """
    chosen = [(group, name) for group in groups or names() for name in names()[group]]
    outcomes: list[Outcome] = []
    with tempfile.TemporaryDirectory(prefix="showground-escapes-") as folder, laid_out(Path(folder)) as bait:
        async with Supervisor(Broker(_Nothing()), clock, lambda _: None, level=level, loader=LOADER) as supervisor:
            attacker = _Attacker(supervisor, Path(folder, "app"))
            await attacker.ready()
            try:
                async with asyncio.timeout(deadline_s):
                    for group, name in chosen:
                        outcomes.append(await attacker.outcome(group, name, bait))
            except TimeoutError:
                late = f"not made within {deadline_s:g} s"
                outcomes += [Outcome(*attempt, held=False, text=late) for attempt in chosen[len(outcomes) :]]
        if not bait.untouched:
            outcomes.append(Outcome("files", "leave the bait alone", held=False, text="a file of the host was changed"))
    return outcomes


class _Attacker:
    """A worker whose app is the attacker, limited as an app may be."""

    def __init__(self, supervisor: Supervisor, folder: Path) -> None:
        source = ATTEMPTS.read_bytes()
        self._folder = folder
        self._supervisor = supervisor
        (folder / "main.py").write_bytes(source)
        self._app = AppVersion(
            app="escapes",
            version="1",
            digest=hashlib.sha256(source).hexdigest(),
            entry="main.py",
            limits=Limits(memory_mb=MEMORY_MB),
        )

    async def ready(self) -> None:
        await self._invoke("ready", b"")

    async def outcome(self, group: str, name: str, bait: Bait) -> Outcome:
        try:
            answer = (await self._invoke(f"{group}/{name}", bait.payload)).decode("utf-8", "replace")
        except ShowgroundError as error:
            if name in DEADLY and error.code == "app_error":
                return Outcome(group, name, held=True, text=error.message)
            return Outcome(group, name, held=False, text=f"not made: {error}")
        return Outcome(group, name, held=answer.startswith("held"), text=answer)

    async def _invoke(self, name: str, payload: bytes) -> bytes:
        invocation = Invocation(
            id=f"escape-{name}",
            installation=InstallationId("escapes:host"),
            app="escapes",
            app_version="1",
            community="host",
            kind="trigger",
            name=name,
            timeout_s=ATTEMPT_S,
        )
        return await self._supervisor.invoke(self._app, self._folder, invocation, payload)


class _Nothing:
    def context(self, *_: object) -> None:
        """Attempts go around the host, not through it."""
