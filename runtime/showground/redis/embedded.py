"""The embedded Redis as the host runs it: one per data folder, restarted when it dies, stopped with everything on disk."""

from __future__ import annotations

import asyncio
import fcntl
import logging
import os
from contextlib import suppress
from pathlib import Path
from types import TracebackType
from typing import Self

from showground.errors import ShowgroundError
from showground.redis.server import Fsync, ServerProcess
from showground.tasks import Tasks

log = logging.getLogger("showground.redis")

FIRST_PAUSE_S = 0.05
LONGEST_PAUSE_S = 5.0
STEADY_S = 30.0
"""A server that lived this long died of something new: the back-off starts over."""
_POLL_S = 0.2


class EmbeddedRedis:
    """A server of our own in `folder/redis`, as an async context manager.

    Entering takes the folder's lock (`misconfigured` when another host has it), ends a server that a killed host left,
    starts a new one on its data and returns once that is loaded. Leaving stops it. With *fsync* `always`
    nothing acknowledged is lost; with `everysec` a power cut may cost the last second, and the server's own death costs
    something only while the disk is so busy that a sync takes long: it then writes up to 2 s late (its `aof.c`).
    """

    def __init__(self, folder: Path, *, fsync: Fsync = "everysec", ready_s: float = 120.0) -> None:
        self._folder = folder / "redis"
        self._fsync = fsync
        self._ready_s = ready_s
        self._tasks = Tasks(grace_s=20.0)
        self._lock: int | None = None
        self._server: ServerProcess | None = None
        self._ready = asyncio.Event()
        self.restarts = 0

    @property
    def server(self) -> ServerProcess:
        assert self._server is not None, "enter EmbeddedRedis first"
        return self._server

    @property
    def url(self) -> str:
        return self.server.url

    @property
    def ready(self) -> bool:
        """Whether the server runs and has loaded its data."""
        return self._ready.is_set()

    async def __aenter__(self) -> Self:
        self._server = await asyncio.to_thread(self._prepare)
        try:
            await self._start()
        except BaseException:
            await self._stop()
            raise
        self._tasks.keep("embedded redis", self._supervise)
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._tasks.close()
        await self._stop()

    def _prepare(self) -> ServerProcess:
        self._folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        lock = os.open(self._folder / "lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            os.close(lock)
            raise ShowgroundError(
                "misconfigured",
                "another host uses this data folder",
                str(self._folder.parent),
                "Stop it, or give this one another --data-dir; several hosts share data through --redis-url.",
            ) from None
        self._lock = lock
        server = ServerProcess(self._folder, fsync=self._fsync)
        server.end_stale()
        return server

    async def _start(self) -> None:
        # Not in a thread: the kernel ends the server when the thread that started it is gone.
        self.server.start()
        await asyncio.to_thread(self.server.wait_ready, self._ready_s)
        self._ready.set()

    async def _stop(self) -> None:
        self._ready.clear()
        if self._server is not None:
            await asyncio.to_thread(self._server.close)
        if self._lock is not None:
            os.close(self._lock)
            self._lock = None

    async def _supervise(self) -> None:
        loop = asyncio.get_running_loop()
        failures = 0
        while True:
            started = loop.time()
            await self._ended()
            self._ready.clear()
            failures = 0 if loop.time() - started > STEADY_S else failures + 1
            pause = min(FIRST_PAUSE_S * 2 ** min(failures, 10), LONGEST_PAUSE_S)
            log.error("the embedded Redis ended; starting it again in %.2f s (see %s)", pause, self.server.log_file)
            await asyncio.sleep(pause)
            self.restarts += 1
            with suppress(ShowgroundError, OSError):
                await self._start()

    async def _ended(self) -> None:
        """Return once the process is gone: told by the kernel where it can (pidfd_open(2)), else by looking."""
        pid = self.server.pid
        if pid is None or not self.server.alive():
            return
        try:
            handle = os.pidfd_open(pid)
        except (AttributeError, OSError):
            while self.server.alive():  # noqa: ASYNC110  # nothing tells us
                await asyncio.sleep(_POLL_S)
            return
        loop = asyncio.get_running_loop()
        gone = asyncio.Event()
        try:
            loop.add_reader(handle, gone.set)
            await gone.wait()
        finally:
            loop.remove_reader(handle)
            os.close(handle)
        self.server.alive()
