"""Background work that is named, watched and ended: the only place that creates tasks that nobody awaits."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Coroutine
from types import TracebackType
from typing import Any, Self

log = logging.getLogger("showground.tasks")


class Tasks:
    """Owns background tasks. A task that fails is reported to *on_failure* (and the log), never lost.

    Use as an async context manager: leaving it cancels what still runs and waits for it, at most *grace_s* seconds.
    """

    def __init__(self, on_failure: Callable[[str, BaseException], None] | None = None, grace_s: float = 5.0) -> None:
        self._tasks: set[asyncio.Task[Any]] = set()
        self._on_failure = on_failure
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
            if self._on_failure is not None:
                self._on_failure(task.get_name(), error)

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
