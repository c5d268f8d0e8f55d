"""The level `none`: app code in the host itself, for debuggers and fast tests. Nothing holds it back."""

from __future__ import annotations

import asyncio
import importlib
import traceback
from pathlib import Path
from typing import Any

from showground.clock import Clock
from showground.errors import ShowgroundError
from showground.model import AppVersion, Registration
from showground.supervisor.broker import Broker, Session
from showground.supervisor.calls import OnEnd, OnFree, Running
from showground.tasks import Tasks, has_begun
from showground.worker.loader import Load, LoadedBundle
from showground.worker.logs import current_invocation
from showground.worker.spawning import Level


class LocalWorker:
    """Behaves as a `ProcessWorker` as far as that can be: it can cancel a handler past its deadline, but not kill it."""

    def __init__(
        self,
        app: AppVersion,
        loader: str,
        broker: Broker,
        clock: Clock,
        tasks: Tasks,
        on_free: OnFree,
        on_end: OnEnd,
    ) -> None:
        self.app = app
        self.in_flight = 0
        self.started_at = self.idle_since = clock.monotonic()
        self.loaded = False
        self.ended: asyncio.Future[str] = asyncio.get_running_loop().create_future()
        self._loader = loader
        self._broker = broker
        self._clock = clock
        self._tasks = tasks
        self._on_free = on_free
        self._on_end = on_end
        self._draining = False
        self._bundle: LoadedBundle | None = None
        self._running: dict[Running, asyncio.Task[None]] = {}

    async def start(self, level: Level, folder: Path) -> Registration:
        module, _, function = self._loader.partition(":")
        load: Load = getattr(importlib.import_module(module), function)
        try:
            self._bundle = load(folder, self.app)
        except ShowgroundError:
            self.kill("it did not load")
            raise
        except Exception as error:
            self.kill("it did not load")
            raise ShowgroundError("app_load_failed", f"{type(error).__name__}: {error}") from error
        return self._bundle.registration

    def run(self, running: Running) -> None:
        running.worker = self
        self.in_flight += 1
        self._running[running] = self._tasks.start("invocation", self._run(running))

    async def _run(self, running: Running) -> None:
        assert running.invocation is not None
        assert self._bundle is not None
        current_invocation.set(running.invocation.id)
        session = self._broker.open(running.invocation, self.app)
        result: bytes | ShowgroundError
        try:
            result = await self._bundle.run(running.invocation, running.payload, _Caller(session))
        except asyncio.CancelledError:
            text = f"the handler ran past its deadline of {running.invocation.timeout_s:g} s and was cancelled"
            result = ShowgroundError("deadline_exceeded", text)
        except ShowgroundError as error:
            error.begun = True
            result = error
        except Exception as error:
            traceback.print_exception(error)
            result = ShowgroundError("app_error", f"{type(error).__name__}: {error}")
        self._end(running, result)

    def _end(self, running: Running, result: bytes | ShowgroundError) -> None:
        del self._running[running]
        self.in_flight -= 1
        self.idle_since = self._clock.monotonic()
        if not running.future.done():
            if isinstance(result, ShowgroundError):
                running.future.set_exception(result)
            else:
                running.future.set_result(result)
        self._on_free(self)
        if self._draining and not self._running:
            self.kill("drained")

    def abandon(self, running: Running) -> None:
        task = self._running.get(running)
        if task is not None and running.cancelled_at is None:
            running.cancelled_at = self._clock.monotonic()
            self._cancel(running, task)

    def _cancel(self, running: Running, task: asyncio.Task[None]) -> None:
        task.cancel()
        if not has_begun(task):  # and never will, so it can't end by itself
            self._end(running, ShowgroundError("deadline_exceeded", "the call was cancelled before its handler began"))

    def check(self, now: float) -> None:
        for running in list(self._running):
            if now >= running.deadline:
                self.abandon(running)

    def drain(self) -> None:
        self._draining = True
        if not self._running:
            self.kill("drained")

    def kill(self, reason: str) -> None:
        if self.ended.done():
            return
        self.ended.set_result(reason)
        for running, task in list(self._running.items()):
            self._cancel(running, task)
        self._on_end(self, reason, True)


class _Caller:
    def __init__(self, session: Session) -> None:
        self._session = session

    async def __call__(self, member: str, method: str, *args: object) -> Any:
        return await self._session.call(member, method, args)
