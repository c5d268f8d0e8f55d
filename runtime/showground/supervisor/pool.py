"""The workers of one app version: started when needed, restarted with back-off, ended when idle."""

from __future__ import annotations

import asyncio
import random
from collections import deque
from collections.abc import Callable, Coroutine
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from showground.clock import Clock
from showground.errors import ShowgroundError
from showground.model import AppVersion, Registration
from showground.supervisor.calls import Running, Worker
from showground.supervisor.policy import Policy
from showground.tasks import Tasks


@dataclass(frozen=True, slots=True)
class PoolStats:
    """One app version at this moment, for metrics."""

    app: str
    version: str
    digest: str
    workers: int
    starting: bool
    in_flight: int
    queued: int
    starts: int
    """Since the pool was made; so are the next two."""
    crashes: int
    refused: int
    failures_in_a_row: int
    """0 when healthy; the pause before the next start doubles with each."""
    last_exit: str


Launched = tuple[Worker, Coroutine[Any, Any, Registration]]
"""A worker, and the work of loading the bundle into it."""


class Pool:
    """Sends invocations to the worker with the least to do. What finds no worker waits in a bounded queue, first in first out."""

    def __init__(
        self,
        app: AppVersion,
        folder: Path,
        launch: Callable[[Pool], Launched],
        clock: Clock,
        policy: Policy,
        tasks: Tasks,
        jitter: random.Random,
        on_busy: Callable[[], None],
    ) -> None:
        self.app = app
        self.folder = folder
        self._launch = launch
        self._clock = clock
        self._policy = policy
        self._tasks = tasks
        self._jitter = jitter
        self._on_busy = on_busy
        self._ready: list[Worker] = []
        self._all: set[Worker] = set()
        self._queue: deque[Running] = deque()
        self._starting = False
        self._start_task: asyncio.Task[None] | None = None
        self._not_before = 0.0
        self._failures = 0
        self._last_error: ShowgroundError | None = None
        self._last_exit = ""
        self._starts = self._crashes = self._refused = 0
        self.draining = False
        self._empty = asyncio.Event()

    # --- invocations ---

    def submit(self, running: Running) -> None:
        """Send *running* to a worker, or queue it. Raises `overloaded`, or why no worker can be had."""
        self._on_busy()
        limit = self._policy.in_flight
        best: Worker | None = None
        for worker in self._ready:
            if worker.in_flight < limit and (best is None or worker.in_flight < best.in_flight):
                best = worker
        if best is not None:
            if best.in_flight and len(self._all) < self.app.limits.workers:
                self._grow()
            best.run(running)
            return
        if len(self._queue) >= self._policy.queued:
            self._refused += 1
            raise ShowgroundError(
                "overloaded",
                f"{len(self._queue)} calls of {self.app.app} {self.app.version} wait for a worker already",
                self.app.app,
                "Come back later, or let the app have more workers (`limits.workers`).",
                retry_after=1.0,
            )
        self._refuse_in_crash_loop()
        self._queue.append(running)
        if len(self._all) < self.app.limits.workers:
            self._grow()

    def abandon(self, running: Running) -> None:
        """The caller of *running* has gone."""
        if running.worker is not None:
            running.worker.abandon(running)
        elif running in self._queue:
            self._queue.remove(running)

    def freed(self, worker: Worker) -> None:
        """*worker* answered a call: give it the next."""
        while self._queue and worker.in_flight < self._policy.in_flight and worker in self._ready:
            running = self._queue.popleft()
            if running.future.done():
                continue
            try:
                worker.run(running)
            except ShowgroundError as error:
                running.future.set_exception(error)
        if self.draining:
            self._settle()

    def check(self, now: float) -> None:
        """Enforce deadlines, of what runs and of what waits."""
        for worker in list(self._all):
            worker.check(now)
        while self._queue and (self._queue[0].future.done() or now >= self._queue[0].deadline):
            running = self._queue.popleft()
            if not running.future.done():
                running.future.set_exception(
                    ShowgroundError(
                        "overloaded",
                        f"no worker of {self.app.app} {self.app.version} was free within the call's deadline",
                        self.app.app,
                        retry_after=1.0,
                    )
                )

    # --- starting and restarting ---

    def _refuse_in_crash_loop(self) -> None:
        """Callers do not wait for a start that is far away."""
        wait = self._not_before - self._clock.monotonic()
        if self._failures and not self._all and wait > self._policy.patience_s:
            self._refused += 1
            last = self._last_error
            code = last.code if last is not None else "worker_died"
            raise ShowgroundError(
                code,
                f"{self.app.app} {self.app.version} failed {self._failures} times in a row, last: {self._last_exit}",
                last.where if last is not None else self.app.app,
                f"It is started again in {wait:.0f} s; mend the app, or roll it back.",
                retry_after=wait,
            )

    def _grow(self) -> None:
        if not self._starting:
            self._starting = True
            self._start_task = self._tasks.start(f"start {self.app.app}", self._start())
            self._start_task.add_done_callback(self._started)

    async def _start(self) -> None:
        wait = self._not_before - self._clock.monotonic()
        if wait > 0:
            await self._clock.sleep(wait)
        worker, load = self._launch(self)
        self._all.add(worker)
        self._starts += 1
        self._on_busy()
        try:
            await load
        except ShowgroundError as error:
            self._last_error = error
            self._failed(error.message)
            self._fail_queue(error)
            return
        if worker in self._all:  # it may have ended since
            worker.loaded = True
            self._ready.append(worker)
            self.freed(worker)

    def _started(self, _: asyncio.Task[None]) -> None:
        """The start has ended, well or not; as a callback it comes also when the task was cancelled before its first step."""
        self._starting = False
        self._start_task = None
        if self._queue and len(self._all) < self.app.limits.workers:
            self._grow()
        if self.draining:
            self._settle()

    def retire(self, worker: Worker) -> None:
        """*worker* says that it ends by itself."""
        if worker in self._ready:
            self._ready.remove(worker)
        self._on_busy()

    def ended(self, worker: Worker, reason: str, expected: bool) -> None:
        """*worker* has ended, and its calls were answered."""
        self._all.discard(worker)
        self.retire(worker)
        if not expected and worker.loaded:
            if self._clock.monotonic() - worker.started_at >= self._policy.healthy_s:
                self._failures = 0
            self._last_error = None
            self._failed(reason)
        if self._queue and not self._all:
            self._grow()
        if self.draining:
            self._settle()

    def _failed(self, reason: str) -> None:
        self._crashes += 1
        self._failures += 1
        self._last_exit = reason
        pause = min(self._policy.backoff_max_s, self._policy.backoff_s * 2 ** (self._failures - 1))
        self._not_before = self._clock.monotonic() + pause * self._jitter.uniform(0.5, 1.0)

    def _fail_queue(self, error: ShowgroundError) -> None:
        if self._ready:
            return
        while self._queue:
            running = self._queue.popleft()
            if not running.future.done():
                running.future.set_exception(error)

    # --- ending ---

    def end_idle(self, now: float) -> None:
        """End the workers that nobody has used for a while; forgive old failures."""
        for worker in list(self._ready):
            if worker.in_flight == 0 and now - worker.idle_since >= self._policy.idle_s:
                self._ready.remove(worker)
                worker.drain()
                self._on_busy()
            elif now - worker.started_at >= self._policy.healthy_s:
                self._failures = 0
        if not self._all and now >= self._not_before + self._policy.idle_s:
            self._failures = 0

    async def drain(self) -> None:
        """Finish what runs and waits, then end the workers; what is not done after `drain_s` is killed."""
        self.draining = True
        self._settle()
        deadline = self._clock.monotonic() + self._policy.drain_s
        while not self._empty.is_set():
            if self._clock.monotonic() >= deadline:
                self.kill("its drain took too long")
                await self._empty.wait()
                return
            await self._clock.sleep(self._policy.tick_s)

    def _settle(self) -> None:
        if self._queue or self._starting:
            return
        for worker in list(self._ready):
            if worker.in_flight == 0:
                self._ready.remove(worker)
                worker.drain()
        if not self._all:
            self._empty.set()

    def kill(self, reason: str) -> None:
        """End every worker now, and refuse what waits."""
        self.draining = True
        self._ready.clear()
        self._fail_queue(ShowgroundError("not_ready", f"{self.app.app} {self.app.version} is being ended: {reason}"))
        if self._start_task is not None:
            self._start_task.cancel()
        for worker in list(self._all):
            worker.kill(reason)
        if not self._all and not self._starting:
            self._empty.set()

    async def emptied(self) -> None:
        """Wait until a killed or drained pool has no worker left."""
        await self._empty.wait()

    @property
    def unused(self) -> bool:
        """Whether nothing runs, waits, starts, or is remembered about failures."""
        return not (self._all or self._queue or self._starting or self._failures)

    @property
    def busy(self) -> bool:
        """Whether a deadline runs: of a call, of a start, or of a worker that is to end."""
        leaving = len(self._all) > len(self._ready)
        return bool(self._queue) or self._starting or leaving or any(w.in_flight for w in self._all)

    def stats(self) -> PoolStats:
        return PoolStats(
            app=self.app.app,
            version=self.app.version,
            digest=self.app.digest,
            workers=len(self._all),
            starting=self._starting,
            in_flight=sum(w.in_flight for w in self._all),
            queued=len(self._queue),
            starts=self._starts,
            crashes=self._crashes,
            refused=self._refused,
            failures_in_a_row=self._failures,
            last_exit=self._last_exit,
        )
