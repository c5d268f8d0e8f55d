"""What is done to a single Redis server: killed, frozen, away for long, its disk full."""

from __future__ import annotations

import asyncio
import os
import resource
import signal
from contextlib import closing

from chaos.load import Promises
from chaos.plan import Fault
from chaos.store import OneServer
from chaos.watch import Watch
from showground.testing.cluster import until

FULL_S = 10.0
"""Within which a server that cannot write must refuse; it notices at its next write, of which there are many a second."""


RED_S = 7.0
"""The limit of `/readyz`, 5 s, and its own poll."""


class ServerFaults:
    """One at a time, because each needs a server that runs."""

    def __init__(self, store: OneServer, watch: Watch, promises: Promises) -> None:
        self._store = store
        self._server = store.server
        self._watch = watch
        self._promises = promises
        self._lock = asyncio.Lock()

    async def do(self, fault: Fault) -> bool:
        async with self._lock:
            match fault.kind:
                case "kill redis" | "redis away":
                    await self._away(fault)
                case "freeze redis":
                    await self._freeze(fault.lasts_s)
                case "kill all":
                    await self._kill_all()
                case "disk full":
                    await self._disk_full(fault.lasts_s)
        return True

    async def _kill(self) -> None:
        """SIGKILL. A server that syncs once a second answers before it writes while the disk is too busy to sync, and its death
        then costs what it answered (docs/redis.md). So that the rules are exact, it is told to write first just before."""
        await asyncio.to_thread(self._write_before_answering)
        self._server.kill()

    def _write_before_answering(self) -> None:
        with closing(self._store.open()) as client:
            client.config_set("appendfsync", "always")

    async def _away(self, fault: Fault) -> None:
        await self._kill()
        await asyncio.sleep(fault.lasts_s)
        if fault.kind == "redis away":
            await self._watch.all_red("Redis is away")
            await self._watch.all_refuse("Redis is away")
        self._server.start()
        await asyncio.to_thread(self._server.wait_ready)
        if fault.kind == "redis away":
            await self._watch.all_green("Redis came back")

    async def _freeze(self, seconds: float) -> None:
        """It does late what it was asked in time: hosts can't know whether a command that was not answered was carried out."""
        os.kill(self._pid, signal.SIGSTOP)
        try:
            await asyncio.sleep(seconds)
        finally:
            os.kill(self._pid, signal.SIGCONT)

    async def _kill_all(self) -> None:
        """As a power cut does, but for what the disk's cache holds: every host that is up, and Redis, in one moment."""
        hosts = self._watch.settled()
        for host in hosts:
            host.is_disturbed = True
        try:
            await self._kill()
            for host in hosts:
                host.kill()
            self._server.start()
            await asyncio.to_thread(self._server.wait_ready)
            await asyncio.gather(*map(self._watch.start, hosts))
        finally:
            for host in hosts:
                host.is_disturbed = False

    async def _disk_full(self, seconds: float) -> None:
        """Its append-only file may not grow, which it cannot tell from a full disk: it refuses every write until it may.

        What it acknowledged in the moment before that is in its memory only, until it can write: it is not killed before.
        SIGXFSZ does not end it: it is started by a Python, which ignores that signal, and an exec keeps that.
        """
        size = max(file.stat().st_size for file in self._server.folder.glob("appendonlydir/*.incr.aof"))
        room, unlimited = resource.prlimit(self._pid, resource.RLIMIT_FSIZE)
        resource.prlimit(self._pid, resource.RLIMIT_FSIZE, (size + 1, unlimited))
        try:
            if await self._is_full():
                await asyncio.sleep(seconds)
                await self._watch.all_refuse("the disk is full")
                if seconds > RED_S:
                    await self._watch.all_red("the disk is full")
        finally:
            resource.prlimit(self._pid, resource.RLIMIT_FSIZE, (room, unlimited))
        await asyncio.to_thread(until, self._has_written, "what Redis kept in memory is in its file")
        await self._watch.all_green("the disk had room again")

    async def _is_full(self) -> bool:
        """Wait until the server has noticed."""
        deadline = asyncio.get_running_loop().time() + FULL_S
        while asyncio.get_running_loop().time() < deadline:
            for host in self._watch.settled():
                answer = await self._watch.publish(host)
                if answer is not None and answer[0] == 503:
                    return True
            await asyncio.sleep(0.1)
        self._promises.breach(f"Redis took writes for {FULL_S:g} s while its disk was full")
        return False

    def _has_written(self) -> bool:
        with self._store.open() as client:
            return bool(client.info("persistence")["aof_last_write_status"] == "ok")

    @property
    def _pid(self) -> int:
        assert self._server.pid is not None
        return self._server.pid
