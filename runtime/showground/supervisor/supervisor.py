"""Runs app code in worker processes, and keeps them in bounds."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from types import TracebackType
from typing import Self

from showground.clock import Clock
from showground.crew import Crew
from showground.errors import ShowgroundError
from showground.model import AppVersion, Invocation, Registration
from showground.supervisor.broker import Broker
from showground.supervisor.calls import CLOSED, OnAnswer, OnEnd, OnFree, OnRetire, Running, Told, Worker
from showground.supervisor.inprocess import LocalWorker
from showground.supervisor.logs import OnLog
from showground.supervisor.policy import Policy
from showground.supervisor.pool import Launched, Pool, PoolStats
from showground.supervisor.worker import ProcessWorker
from showground.supervisor.zygote import Zygote
from showground.tasks import Tasks
from showground.worker.spawning import Level

LOADER = "showground.author.loading:load_bundle"
CLOSE_S = 3.0
"""How long `close` waits for killed workers to be reaped."""


class Supervisor:
    """Use as an async context manager, or call `close` at the end; it leaves no process behind."""

    def __init__(
        self,
        broker: Broker,
        clock: Clock,
        on_log: OnLog,
        *,
        level: Level = "process",
        policy: Policy | None = None,
        loader: str = LOADER,
        jitter: random.Random | None = None,
    ) -> None:
        self.level = level
        self._broker = broker
        self._clock = clock
        self._on_log = on_log
        self._policy = policy or Policy()
        self._jitter = jitter or random.Random()  # noqa: S311  # spreads restarts; no secret
        self._loader = loader
        self._zygote = Zygote(loader, self._policy)
        self._pools: dict[str, Pool] = {}
        self._draining: set[Pool] = set()
        self._checking: set[Worker] = set()
        self._tasks = Tasks()
        self._crew = Crew("capability", self._tasks)
        self._watching = False
        self._busy = asyncio.Event()
        self._closed = False

    async def invoke(self, app: AppVersion, folder: Path, invocation: Invocation, payload: bytes) -> bytes:
        """Run one handler and return its result. Raises `ShowgroundError` only.

        `app_error`, `deadline_exceeded` (the handler is dead then), `worker_died` and `protocol_error` (whether the handler had
        its effects is unknown), `overloaded` (it was not started), `app_load_failed`, `too_large`, `not_ready`.
        """
        pool = self._pools.get(app.digest)
        if pool is None:
            pool = self._open(app, folder)
        future: asyncio.Future[bytes] = asyncio.get_running_loop().create_future()
        running = Running(invocation, payload, future, self._clock.monotonic() + invocation.timeout_s)
        pool.submit(running)
        try:
            return await future
        except asyncio.CancelledError:
            pool.abandon(running)
            raise

    def begin(
        self, app: AppVersion, folder: Path, invocation: Invocation, payload: bytes, on_answer: OnAnswer
    ) -> Callable[[], None]:
        """`invoke` for those who start many: no task waits. *on_answer* is told the result or the error once, after this has
        returned; it must be quick. What is returned cancels the call, and nothing is told then. Raises `overloaded`, or why no
        worker can be had."""
        pool = self._pools.get(app.digest)
        if pool is None:
            pool = self._open(app, folder)
        told = Told(on_answer)
        running = Running(invocation, payload, told, self._clock.monotonic() + invocation.timeout_s)
        pool.submit(running)
        return partial(_cancel, pool, running, told)

    async def check(self, folder: Path, app: AppVersion) -> Registration:
        """Load the bundle in a throw-away worker and return what it registered.

        Raises `bundle_invalid` with every fault that the loader found, or `app_load_failed`: an exception at import, an exit, a
        crash, too much memory, or no end within `limits.load_timeout_s`.
        """
        self._begin()
        worker = self._worker(app, ignore, ignore, lambda w, _reason, _expected: self._checking.discard(w))
        self._checking.add(worker)
        self._busy.set()
        try:
            return await worker.start(self.level, folder)
        finally:
            worker.kill(CLOSED)
            await worker.ended

    async def drain(self, digest: str) -> None:
        """Finish what runs of that version, then end its workers. A call that comes meanwhile starts fresh workers."""
        pool = self._pools.pop(digest, None)
        if pool is None:
            return
        self._draining.add(pool)
        try:
            await pool.drain()
        finally:
            self._draining.discard(pool)

    async def close(self) -> None:
        """End every worker and the zygote; calls that still run fail with `worker_died`. Idempotent."""
        if self._closed:
            return
        self._closed = True
        pools = [*self._pools.values(), *self._draining]
        for pool in pools:
            pool.kill(CLOSED)
        for worker in list(self._checking):
            worker.kill(CLOSED)
        try:
            async with asyncio.timeout(CLOSE_S):
                for pool in pools:
                    await pool.emptied()
                for worker in list(self._checking):
                    await worker.ended
        except TimeoutError:
            pass  # the zygote takes them along
        await self._tasks.close()
        await self._zygote.close()

    def stats(self) -> Sequence[PoolStats]:
        """Every app version that has or had workers lately."""
        return [pool.stats() for pool in self._pools.values()]

    @property
    def zygote_pid(self) -> int | None:
        """Parent of every worker; None before the first and after the last."""
        return self._zygote.pid

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.close()

    # --- inside ---

    def _open(self, app: AppVersion, folder: Path) -> Pool:
        self._begin()
        pool = Pool(app, folder, self._launch, self._clock, self._policy, self._tasks, self._jitter, self._busy.set)
        self._pools[app.digest] = pool
        return pool

    def _launch(self, pool: Pool) -> Launched:
        worker = self._worker(pool.app, pool.freed, pool.retire, pool.ended)
        return worker, worker.start(self.level, pool.folder)

    def _worker(self, app: AppVersion, on_free: OnFree, on_retire: OnRetire, on_end: OnEnd) -> Worker:
        if self.level == "none":
            return LocalWorker(app, self._loader, self._broker, self._clock, self._tasks, on_free, on_end)
        return ProcessWorker(
            app,
            self._zygote,
            self._broker,
            self._clock,
            self._policy,
            self._crew,
            self._on_log,
            on_free,
            on_retire,
            on_end,
        )

    def _begin(self) -> None:
        if self._closed:
            raise ShowgroundError("not_ready", "the host is stopping")
        if not self._watching:
            self._watching = True
            self._tasks.keep("deadlines", self._keep_deadlines, self._clock.sleep)
            self._tasks.keep("idle workers", self._end_idle, self._clock.sleep)

    async def _keep_deadlines(self) -> None:
        """Look at every open call each tick, while there are any. A timer per call would cost each call more than this."""
        while True:
            await self._busy.wait()
            await self._clock.sleep(self._policy.tick_s)
            now = self._clock.monotonic()
            busy = bool(self._checking)
            for worker in list(self._checking):
                worker.check(now)
            for pool in [*self._pools.values(), *self._draining]:
                pool.check(now)
                busy = busy or pool.busy
            if not busy:
                self._busy.clear()

    async def _end_idle(self) -> None:
        while True:
            await self._clock.sleep(self._policy.idle_s / 10)
            now = self._clock.monotonic()
            for digest, pool in list(self._pools.items()):
                pool.end_idle(now)
                if pool.unused:
                    del self._pools[digest]


def ignore(_: Worker) -> None:
    """A worker that only checks a bundle has no pool to tell."""


def _cancel(pool: Pool, running: Running, told: Told) -> None:
    told.cancel()
    pool.abandon(running)
