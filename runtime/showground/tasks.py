"""Background work that is named, watched and ended: the only place that creates tasks that nobody awaits."""

from __future__ import annotations

import asyncio
import inspect
import logging
from collections.abc import Awaitable, Callable, Coroutine
from types import TracebackType
from typing import Any, Self, cast

log = logging.getLogger("showground.tasks")

ANEW_S = 1.0
"""Between the failure of work that goes on for ever and its next beginning."""


def has_begun(task: asyncio.Task[Any]) -> bool:
    """Whether *task* has entered its coroutine. One that is cancelled before never does: no `finally` or `except` of it runs."""
    return inspect.getcoroutinestate(cast("Coroutine[Any, Any, Any]", task.get_coro())) != inspect.CORO_CREATED


class Tasks:
    """Owns background tasks. What a task fails of is logged, never lost.

    Use as an async context manager: leaving it cancels what still runs and waits for it, at most *grace_s* seconds.
    """

    def __init__(self, grace_s: float = 5.0) -> None:
        self._tasks: set[asyncio.Task[Any]] = set()
        self._grace_s = grace_s
        self._closed = False

    def start(self, name: str, work: Coroutine[Any, Any, Any]) -> asyncio.Task[Any]:
        """Run *work* in the background. Raises `RuntimeError` (and closes *work*) once the owner is closed."""
        if self._closed:
            work.close()
            raise RuntimeError(f"cannot start {name}: its owner is closed")
        task = asyncio.get_running_loop().create_task(work, name=name)
        self._tasks.add(task)
        task.add_done_callback(self._done)
        return task

    def keep(
        self,
        name: str,
        work: Callable[[], Coroutine[Any, Any, None]],
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
    ) -> asyncio.Task[None]:
        """Run *work* in the background for as long as the owner lives: whatever it fails of is logged, and it begins anew.

        For loops that handle the errors they know, and without which a host would go on half dead after one that they don't.
        """
        return self.start(name, self._again_and_again(name, work, sleep))

    async def _again_and_again(
        self, name: str, work: Callable[[], Coroutine[Any, Any, None]], sleep: Callable[[float], Awaitable[None]]
    ) -> None:
        while True:
            try:
                return await work()
            except Exception:
                log.exception("background task %s failed, and begins anew in %g s", name, ANEW_S)
            await sleep(ANEW_S)

    @property
    def closed(self) -> bool:
        return self._closed

    def _done(self, task: asyncio.Task[Any]) -> None:
        self._tasks.discard(task)
        if task.cancelled():
            return
        error = task.exception()
        if error is not None:
            log.error("background task %s failed", task.get_name(), exc_info=error)

    def __len__(self) -> int:
        return len(self._tasks)

    async def close(self) -> None:
        """Cancel everything and wait for it. Idempotent."""
        self._closed = True
        tasks = [t for t in self._tasks if t is not asyncio.current_task()]
        for task in tasks:
            task.cancel()
        if tasks:
            _, late = await asyncio.wait(tasks, timeout=self._grace_s)
            for task in late:
                log.error("background task %s did not end %s s after its end was asked", task.get_name(), self._grace_s)

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.close()
