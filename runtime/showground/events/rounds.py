"""What many callers send at the same time goes to Redis together."""

from __future__ import annotations

import asyncio
import copy
from collections import deque
from collections.abc import Mapping, Sequence

from showground.errors import ShowgroundError
from showground.events.fanout import AcceptedEvent, Checked, Fanout
from showground.tasks import Tasks

Answers = Mapping[str, AcceptedEvent]
_Asked = tuple[Sequence[Checked], "asyncio.Future[Answers]"]

AT_ONCE = 3
"""Rounds under way: each takes two round trips, and while Redis works on one, the host prepares others."""
ROUND_EVENTS = 1000
"""A round takes callers until it has this many events; one caller's are never split."""
WAITING_EVENTS = 20_000
"""Events that wait for a round; more are refused as `overloaded`, before anything was done."""


class Rounds:
    """A caller who is alone starts a round at once; those who come meanwhile share the next one. So nobody waits for company,
    and the price of a round trip is shared the more the busier it gets."""

    def __init__(self, fanout: Fanout) -> None:
        self._fanout = fanout
        self._tasks = Tasks()
        self._waiting: deque[_Asked] = deque()
        self._events = 0
        self._under_way = 0
        self._starting = False

    async def settle(self, asked: Sequence[Checked]) -> Answers:
        """See `Fanout.settle`. The answers may include those of others."""
        if not asked:
            return {}
        if self._events + len(asked) > WAITING_EVENTS:
            raise ShowgroundError("overloaded", "too many events wait to be taken", "events", "Send it again.", 1.0)
        answers: asyncio.Future[Answers] = asyncio.get_running_loop().create_future()
        self._waiting.append((asked, answers))
        self._events += len(asked)
        self._start()
        return await answers

    def _start(self) -> None:
        if self._waiting and not self._starting and self._under_way < AT_ONCE:
            self._starting = True
            self._under_way += 1
            self._tasks.start("events: take", self._round())

    async def _round(self) -> None:
        taken: list[_Asked] = []
        together: list[Checked] = []
        while self._waiting and (not together or len(together) + len(self._waiting[0][0]) <= ROUND_EVENTS):
            taken.append(self._waiting.popleft())
            together.extend(taken[-1][0])
        self._starting = False
        self._events -= len(together)
        self._start()
        try:
            answers = await self._fanout.settle(together)
        except Exception as error:
            for _, future in taken:
                if not future.done():
                    future.set_exception(copy.copy(error))  # each caller raises its own, with its own traceback
        else:
            for _, future in taken:
                if not future.done():
                    future.set_result(answers)
        finally:
            for _, future in taken:
                future.cancel()  # does nothing unless this round was cancelled
            self._under_way -= 1
            self._start()
