"""The system under test: a Redis, and hosts on it, each with a clock and, where that can be, a line of its own."""

from __future__ import annotations

import asyncio
import base64
import json
import os
import random
import secrets
import signal
import subprocess
import sys
import time
import zipfile
from collections.abc import Mapping
from contextlib import AsyncExitStack
from io import BytesIO
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import aiohttp

from chaos.clock import set_clock
from chaos.plan import Deployment
from chaos.processes import Process, descendants, process
from chaos.proxy import Proxy
from chaos.store import Store, running_store
from showground.testing.cluster import free_ports

LEDGER = Path(__file__).parent / "bundles" / "ledger"
PREFIX = "chaos"
START_S = 60.0

SETTINGS = """
[host]
port = {port}
data_dir = "{data_dir}"
drain_s = {drain_s}

[redis]
url = "{redis_url}"
prefix = "{prefix}"
deadline_s = 3.0

[workers]
isolation = "{isolation}"

[logs]
format = "console"
level = "info"

[events.types."chaos.plan"]
[events.types."chaos.stop"]
[events.types."chaos.open"]
[events.types."chaos.fill"]
[events.types."chaos.free"]

[scheduler]
recurring_jobs = 1000
creations_per_minute = 100000
one_off_jobs = 10000

[redis_kv]
quota_bytes = {quota_bytes}

[deliveries]
lease_s = {lease_s}
max_attempts = {max_attempts}
retry_base_s = 0.2
retry_factor = 2.0
retry_cap_s = 1.0
backlog = {backlog}

[realtime]
history_messages = 100000
history_bytes = 67108864
history_ttl_s = 3600.0
messages_per_s = {messages_per_s}
"""
DEFAULTS: Mapping[str, object] = {
    "isolation": "process", "drain_s": 3.0, "lease_s": 3.0, "max_attempts": 12, "backlog": 10_000, "messages_per_s": 100,
    "quota_bytes": 500_000_000,
}  # fmt: skip


class HostProcess:
    """One host, with its own data folder, its own clock and its own line to Redis."""

    def __init__(self, number: int, folder: Path, port: int, line: Proxy | None) -> None:
        self.number = number
        self.folder = folder
        self.url = f"http://127.0.0.1:{port}"
        self.line = line
        self.is_frozen = False
        self.is_disturbed = False
        """Something is being done to it now, so nothing else is."""
        self.fathered: set[Process] = set()
        """Everything that ever ran below it: none of it may outlive it."""
        self.exit_codes: list[int] = []
        self.python: Path | None = None
        """The interpreter of another version's environment, with which it runs from its next start on; None: this one."""
        self._process: subprocess.Popen[bytes] | None = None
        self.set_clock(0.0)

    def set_clock(self, ahead_s: float) -> None:
        """Put its clock so far ahead of the right time, or behind; it stays so when the host is started again."""
        self.ahead_s = ahead_s
        set_clock(self.folder / "clock", ahead_s)

    def clock_s(self) -> float:
        """What its clock shows: seconds since 1970."""
        return time.time() + self.ahead_s

    @property
    def pid(self) -> int | None:
        return self._process.pid if self._process is not None and self._process.poll() is None else None

    @property
    def is_live(self) -> bool:
        return self.pid is not None and not self.is_frozen

    def start(self) -> None:
        settings = str(self.folder / "showground.toml")
        environment = {**os.environ, "NO_COLOR": "1"}
        if self.python is None:
            command = [sys.executable, "-m", "chaos.host", settings, str(self.folder / "clock")]
            path = (str(Path(__file__).parents[1]), os.environ.get("PYTHONPATH"))
            environment["PYTHONPATH"] = os.pathsep.join(filter(None, path))
        else:
            command = [str(self.python), "-m", "showground", "serve", "--settings", settings]
            environment.pop("PYTHONPATH", None)
        with (self.folder / "host.log").open("ab") as log:
            self._process = subprocess.Popen(command, stdout=log, stderr=log, cwd=self.folder, env=environment)

    def look(self) -> list[Process]:
        """What runs below it now; remembered."""
        if self.pid is None:
            return []
        found = descendants(self.pid)
        self.fathered.update(found)
        return found

    def workers(self) -> list[Process]:
        zygotes = {p.pid for p in self.zygotes()}
        return [p for p in self.look() if p.pid not in zygotes]

    def zygotes(self) -> list[Process]:
        from chaos.processes import children

        return [] if self.pid is None else children(self.pid)

    def freeze(self) -> None:
        if self.pid is not None:
            self.is_frozen = True
            os.kill(self.pid, signal.SIGSTOP)

    def thaw(self) -> None:
        if self.pid is not None:
            os.kill(self.pid, signal.SIGCONT)
        self.is_frozen = False

    def kill(self) -> None:
        """SIGKILL, and wait for its end (that of the host; what it left behind is looked for later)."""
        self.look()
        if self._process is not None:
            self._process.kill()
            self._process.wait()

    async def stop(self, timeout_s: float = 30.0) -> int:
        """SIGTERM, and wait. Returns the exit code; -9 when it did not end in time."""
        if self._process is None:
            return 0
        self.look()
        self._process.terminate()
        try:
            code = await asyncio.to_thread(self._process.wait, timeout_s)
        except subprocess.TimeoutExpired:
            self.kill()
            code = -9
        self.exit_codes.append(code)
        return code

    async def ready(self, client: aiohttp.ClientSession, timeout_s: float = START_S) -> None:
        deadline = asyncio.get_running_loop().time() + timeout_s
        while True:
            if await readiness(client, self.url) == 200:
                return
            if self.pid is None and self._process is not None:
                raise RuntimeError(f"host {self.number} ended while starting: {self.last_words()}")
            if asyncio.get_running_loop().time() > deadline:
                raise RuntimeError(f"host {self.number} was not ready in {timeout_s:g} s: {self.last_words()}")
            await asyncio.sleep(0.1)

    def last_words(self) -> str:
        return "\n".join((self.folder / "host.log").read_text("utf-8", "replace").splitlines()[-15:])

    def open_files(self) -> int:
        here = None if self.pid is None else process(self.pid)
        return 0 if here is None else here.open_files()


async def readiness(client: aiohttp.ClientSession, url: str, timeout_s: float = 2.0) -> int | None:
    """The status of `/readyz`; None when nobody answers."""
    try:
        async with client.get(url + "/readyz", timeout=aiohttp.ClientTimeout(timeout_s)) as response:
            return response.status
    except (aiohttp.ClientError, TimeoutError, OSError):
        return None


class Cluster:
    """Use as an async context manager: entered, every host is ready; left, every process of it is gone."""

    def __init__(
        self,
        folder: Path,
        hosts: int,
        rng: random.Random,
        deployment: Deployment = "single",
        python: Path | None = None,
        **settings: object,
    ) -> None:
        """*python*: of the environment whose code all hosts begin with (`HostProcess.python`)."""
        self._folder = folder
        self._count = hosts
        self._rng = rng
        self._settings = {**DEFAULTS, **settings}
        self._exits = AsyncExitStack()
        self._deployment = deployment
        self._python = python
        self.store: Store
        self.hosts: list[HostProcess] = []
        self.client: aiohttp.ClientSession

    async def __aenter__(self) -> Self:
        async with AsyncExitStack() as exits:
            self.store = exits.enter_context(running_store(self._deployment, self._folder / "redis"))
            key = base64.urlsafe_b64encode(secrets.token_bytes(32)).decode()
            for number, port in enumerate(free_ports(self._count)):
                line = None
                if self.store.socket is not None:
                    line = await exits.enter_async_context(Proxy(self.store.socket))
                host = self._make(number, port, line, key)
                host.python = self._python
                self.hosts.append(host)
                exits.callback(host.kill)
                host.start()
            plain = await exits.enter_async_context(aiohttp.ClientSession())
            for host in self.hosts:
                await host.ready(plain)
            token = json.loads((self.hosts[0].folder / "data" / "host.json").read_text())["token"]
            self.client = await exits.enter_async_context(
                aiohttp.ClientSession(
                    headers={"Authorization": f"Bearer {token}"},
                    timeout=aiohttp.ClientTimeout(total=8.0),
                    connector=aiohttp.TCPConnector(limit=0),
                )
            )
            self._exits = exits.pop_all()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for host in self.hosts:
            if host.is_frozen:
                host.thaw()
        await self._exits.aclose()

    def _make(self, number: int, port: int, line: Proxy | None, key: str) -> HostProcess:
        folder = self._folder / f"host{number}"
        (folder / "data").mkdir(parents=True, mode=0o700)
        (folder / "data" / "secret.key").write_text(key)
        text = SETTINGS.format(
            port=port,
            data_dir=folder / "data",
            redis_url=self.store.url(0 if line is None else line.port),
            prefix=PREFIX,
            **self._settings,
        )
        (folder / "showground.toml").write_text(text)
        return HostProcess(number, folder, port, line)

    def any_live(self) -> HostProcess | None:
        live = [host for host in self.hosts if host.is_live]
        return self._rng.choice(live) if live else None

    async def request(self, method: str, path: str, host: HostProcess | None = None, **more: Any) -> tuple[int, Any]:
        """One request to one live host: (status, decoded body). Raises what aiohttp raises."""
        host = host or self.any_live()
        if host is None:
            raise aiohttp.ClientConnectionError("no host lives")
        async with self.client.request(method, host.url + path, **more) as response:
            body = await response.json(content_type=None)
            if response.status in (429, 503) and "Retry-After" not in response.headers:
                raise MissingRetryAfter(f"{method} {path} answered {response.status} without Retry-After")
            return response.status, body

    async def insist(self, method: str, path: str, good: tuple[int, ...] = (200, 201, 202), **more: Any) -> Any:
        """Repeat a request, at whichever host lives, until one of the *good* answers comes."""
        for _ in range(120):
            try:
                status, body = await self.request(method, path, **more)
            except (aiohttp.ClientError, TimeoutError, OSError):
                await asyncio.sleep(0.3)
                continue
            if status in good:
                return body
            if status not in (409, 429, 502, 503, 504):
                raise RuntimeError(f"{method} {path}: {status} {body}")
            await asyncio.sleep(0.3)
        raise RuntimeError(f"{method} {path} was refused for too long")

    async def upload(self, version: str) -> None:
        await self.insist("POST", "/api/v1/apps", data=bundle_zip(version))

    async def install(self, community: str, version: str) -> None:
        await self.insist("PUT", f"/api/v1/communities/{community}/apps/ledger", json={"version": version})


class MissingRetryAfter(Exception):
    """A host refused for now and did not say when to come back."""


def bundle_zip(version: str) -> bytes:
    """The ledger bundle under another version."""
    manifest = json.loads((LEDGER / "app.json").read_text())
    manifest["version"] = version
    file = BytesIO()
    with zipfile.ZipFile(file, "w") as archive:
        archive.writestr("app.json", json.dumps(manifest))
        archive.write(LEDGER / "main.py", "main.py")
    return file.getvalue()
