"""A host as an operator runs it: a process of its own on a Redis of its own, each of which may be killed and started again."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import socket
import sys
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import aiohttp

from showground.errors import ShowgroundError
from showground.redis.server import ServerProcess
from showground.testing.waiting import eventually


class ServedHost:
    """Use as an async context manager."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._redis = ServerProcess(
            folder / "redis", fsync="always"
        )  # with less, Redis may write 2 s late on a busy disk
        self._port = _free_port()
        self._process: asyncio.subprocess.Process | None = None
        self.url = f"http://127.0.0.1:{self._port}"

    async def __aenter__(self) -> Self:
        await asyncio.to_thread(self._start_redis)
        try:
            await self.start()
        except BaseException:
            await self.stop()
            raise
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.stop()

    async def stop(self) -> None:
        """End the host and its Redis. Idempotent."""
        if self._process is not None and self._process.returncode is None:
            self._process.terminate()
            await self._process.wait()
        await asyncio.to_thread(self._redis.close)

    async def start(self) -> None:
        """Start the host on its port, and wait until it is ready."""
        (self._folder / "log").touch()
        with (self._folder / "log").open("ab") as log:
            self._process = await asyncio.create_subprocess_exec(
                sys.executable, "-m", "showground", "--data-dir", str(self._folder / "data"),
                "serve", "--port", str(self._port), "--redis-url", self._redis.url, "--isolation", "process",
                env={**os.environ, "SHOWGROUND_HOST_DEMO": "true", "SHOWGROUND_LOGS_LEVEL": "warning"},
                cwd=self._folder, stdout=log, stderr=log,
            )  # fmt: skip
        await eventually(self.is_ready)

    async def is_ready(self) -> bool:
        """Whether it has what it needs; on a busy machine its loop may be called late for ten seconds after each stall."""
        assert self._process is not None
        assert self._process.returncode is None, (self._folder / "log").read_text()
        try:
            checks = (await self._ask("GET", "/readyz"))["checks"]
            return all(check["ok"] for check in checks if check["name"] != "event_loop")
        except (aiohttp.ClientError, ShowgroundError, OSError):
            return False

    async def is_ready_again(self) -> None:
        await eventually(self.is_ready)

    async def kill_host(self) -> None:
        assert self._process is not None
        self._process.send_signal(signal.SIGKILL)
        await self._process.wait()

    def kill_workers(self) -> int:
        """Kill every worker of the host; returns how many there were. They are the children of its zygote."""
        assert self._process is not None
        workers = [pid for zygote in _children(self._process.pid) for pid in _children(zygote)]
        for pid in workers:
            os.kill(pid, signal.SIGKILL)
        return len(workers)

    async def restart_redis(self) -> None:
        """Kill Redis as a crash does, and start it on what it had written."""
        await asyncio.to_thread(self._redis.kill)
        await asyncio.to_thread(self._start_redis)

    def _start_redis(self) -> None:
        self._redis.start()
        self._redis.wait_ready(30)

    async def call(self, method: str, path: str, **more: Any) -> Any:
        """One request with the root token."""
        return await self._ask(method, path, **more)

    async def install(self, folder: Path) -> None:
        """Upload and install a bundle by the command line, as an operator does."""
        for words in (("upload", str(folder)), ("install", "playground", folder.name.replace("_", "-"))):
            process = await asyncio.create_subprocess_exec(
                sys.executable, "-m", "showground", "--data-dir", str(self._folder / "data"), *words,
                stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.STDOUT,
            )  # fmt: skip
            said, _ = await process.communicate()
            assert process.returncode == 0, said.decode()

    async def _ask(self, method: str, path: str, **more: Any) -> Any:
        token = json.loads((self._folder / "data" / "host.json").read_text())["token"]
        async with (
            aiohttp.ClientSession(headers={"Authorization": f"Bearer {token}"}) as client,
            client.request(method, self.url + path, **more) as response,
        ):
            body = await response.json(content_type=None)
            if response.status >= 400 and "error" in body:
                raise ShowgroundError.from_json(body)
            return body


def _children(pid: int) -> list[int]:
    return [int(child) for child in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]


def _free_port() -> int:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        port: int = listener.getsockname()[1]
        return port
