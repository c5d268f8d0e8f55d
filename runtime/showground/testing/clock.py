"""Clocks that a test moves: one that stands still otherwise, and one that also runs."""

from __future__ import annotations

import asyncio
import heapq
import time
from itertools import count

SETTLE_TURNS = 20


class ManualClock:
    """Implements `showground.clock.Clock`. Sleepers wake in the order of their times, each before time moves on.

    `advance` lets the loop turn between wake-ups, so chains of callbacks and tasks run to their next await. What waits for a
    real process or socket takes real time: follow up with `showground.testing.waiting.eventually`.
    """

    def __init__(self, now_ms: int = 1_700_000_000_000) -> None:
        self._start_ms = now_ms
        self._now_s = 0.0
        self._sleepers: list[tuple[float, int, asyncio.Future[None]]] = []
        self._order = count()

    def now_ms(self) -> int:
        return self._start_ms + round(self._now_s * 1000)

    def monotonic(self) -> float:
        return self._now_s

    async def sleep(self, seconds: float) -> None:
        if seconds <= 0:
            await asyncio.sleep(0)
            return
        future: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        heapq.heappush(self._sleepers, (self._now_s + seconds, next(self._order), future))
        await future

    @property
    def sleepers(self) -> int:
        """How many sleep now."""
        return sum(not future.done() for _, _, future in self._sleepers)

    async def settle(self, turns: int = SETTLE_TURNS) -> None:
        """Let the loop turn, so that what can run without time or I/O has run."""
        for _ in range(turns):
            await asyncio.sleep(0)

    async def advance(self, seconds: float) -> None:
        """Move time by *seconds*, waking each sleeper at its own time."""
        target = self._now_s + seconds
        await self.settle()
        while self._sleepers and self._sleepers[0][0] <= target:
            at, _, future = heapq.heappop(self._sleepers)
            if future.done():
                continue
            self._now_s = max(self._now_s, at)
            future.set_result(None)
            await self.settle()
        self._now_s = target
        await self.settle()

    def jump(self, seconds: float) -> None:
        """Move wall time only, as a machine's clock does when it is set; no sleeper notices."""
        self._start_ms += round(seconds * 1000)


class MovableClock:
    """Implements `showground.clock.Clock`: runs as the machine's clock does, and `move` puts it ahead.

    For whole hosts, whose deadlines and polls must go on while a test waits for real processes. Whoever sleeps until a time
    that `move` passes wakes at once.
    """

    def __init__(self) -> None:
        self._ahead_s = 0.0
        self._sleepers: set[asyncio.Event] = set()

    def now_ms(self) -> int:
        return time.time_ns() // 1_000_000 + round(self._ahead_s * 1000)

    def monotonic(self) -> float:
        return time.monotonic() + self._ahead_s

    async def sleep(self, seconds: float) -> None:
        until = self.monotonic() + seconds
        moved = asyncio.Event()
        self._sleepers.add(moved)
        try:
            while (left := until - self.monotonic()) > 0:
                try:
                    async with asyncio.timeout(left):
                        await moved.wait()
                except TimeoutError:
                    pass
                moved.clear()
            await asyncio.sleep(0)
        finally:
            self._sleepers.discard(moved)

    def move(self, seconds: float) -> None:
        """Put the clock ahead. Time goes one way, so a negative value moves nothing."""
        self._ahead_s += max(0.0, seconds)
        for moved in self._sleepers:
            moved.set()
