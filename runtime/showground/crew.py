"""Tasks that are used again, for short pieces of work that come thousands of times a second.

asyncio keeps every task in a weak set written in Python; with that, a task of its own cost each piece of work 3 to 4 µs, and one
that waits for the next piece costs it 1 µs (Python 3.11, 2026-11-24).
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Coroutine
from typing import Any

from showground.tasks import Tasks

log = logging.getLogger("showground.tasks")

KEPT = 256
"""Tasks that wait for work; more end when theirs is done."""


class Job:
    """One piece of work, until it has ended."""

    __slots__ = ("_hand", "_work")

    def __init__(self, work: Coroutine[Any, Any, None]) -> None:
        self._work = work
        self._hand: _Hand | None = None

    def cancel(self) -> None:
        """Raise `CancelledError` in the work, or never begin it. Does nothing once it has ended."""
        if self._hand is not None:
            self._hand.drop()


class Crew:
    """Runs pieces of work at the same time, each from the loop's next turn on. They share one context: whoever sets context
    variables takes a task. What fails is logged, never lost."""

    def __init__(self, name: str, tasks: Tasks) -> None:
        """*tasks* owns the tasks, and ends them all when it is closed."""
        self._name = name
        self._tasks = tasks
        self._idle: list[_Hand] = []
        self.busy = 0
        """Pieces of work that have not ended."""
        self._all_done: asyncio.Future[None] | None = None

    def start(self, work: Coroutine[Any, Any, None]) -> Job:
        """Raises `RuntimeError` (and closes *work*) once the owner is closed."""
        job = Job(work)
        if self._idle and not self._tasks.closed:
            self._idle.pop().give(job)
        else:
            self._hire(job)
        self.busy += 1
        return job

    def _hire(self, job: Job) -> None:
        hand = _Hand(self, job)
        try:
            hand.task = self._tasks.start(self._name, hand.run())
        except RuntimeError:
            job._work.close()
            raise
        hand.task.add_done_callback(hand.over)

    async def finish(self, within_s: float) -> None:
        """Wait until nothing runs, at most so long."""
        if self.busy:
            self._all_done = asyncio.get_running_loop().create_future()
            await asyncio.wait([self._all_done], timeout=within_s)

    def ended(self) -> None:
        self.busy -= 1
        if not self.busy and self._all_done is not None and not self._all_done.done():
            self._all_done.set_result(None)

    def keeps(self, hand: _Hand) -> bool:
        """Whether *hand* should wait for more."""
        if len(self._idle) >= KEPT or self._tasks.closed:
            return False
        self._idle.append(hand)
        return True

    def dismiss(self, hand: _Hand) -> None:
        if hand in self._idle:
            self._idle.remove(hand)


class _Hand:
    """One task of a crew."""

    def __init__(self, crew: Crew, job: Job) -> None:
        self.task: asyncio.Task[None] | None = None
        self._crew = crew
        self._loop = asyncio.get_running_loop()
        self._next: asyncio.Future[None] | None = None
        self._take(job)

    def _take(self, job: Job) -> None:
        self._job: Job | None = job
        self._has_begun = False
        self._drops = False
        job._hand = self

    def give(self, job: Job) -> None:
        self._take(job)
        assert self._next is not None
        self._next.set_result(None)

    def drop(self) -> None:
        self._drops = True
        if self._has_begun and self.task is not None:
            self.task.cancel()

    async def run(self) -> None:
        while True:
            await self._do()
            if not self._crew.keeps(self):
                return
            self._next = self._loop.create_future()
            await self._next

    async def _do(self) -> None:
        job = self._job
        assert job is not None
        assert self.task is not None
        try:
            if not self._drops:
                self._has_begun = True
                await job._work
        except asyncio.CancelledError:
            if not self._drops:
                raise
        except Exception:
            log.exception("%s failed", self.task.get_name())
        if self._drops and self._has_begun:
            self.task.uncancel()
        self._end_job()

    def _end_job(self) -> None:
        job, self._job = self._job, None
        if job is not None:
            job._hand = None
            if not self._has_begun:
                job._work.close()
            self._crew.ended()

    def over(self, _: asyncio.Task[None]) -> None:
        """The task has ended, also before its first step."""
        self._end_job()
        self._crew.dismiss(self)
