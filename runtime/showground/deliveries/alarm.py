"""A wake-up call that costs a busy loop nothing."""

from __future__ import annotations

import asyncio

from showground.clock import Clock
from showground.tasks import Tasks


class Alarm:
    """Sets *wake* at a time of *clock*. Asking for a later time than is set already is ignored: an early wake-up harms nobody,
    and a loop that turns a thousand times a second need not make a thousand timers."""

    def __init__(self, clock: Clock, tasks: Tasks, wake: asyncio.Event) -> None:
        self._clock = clock
        self._tasks = tasks
        self._wake = wake
        self._at = float("inf")
        self._sleeping: asyncio.Task[None] | None = None

    def at(self, time: float) -> None:
        """Wake at *time* on the monotonic clock, at once when it has passed; a time to come is at least a millisecond away."""
        now = self._clock.monotonic()
        if time <= now:
            self._wake.set()
            return
        at = max(time, now + 0.001)
        if at >= self._at:
            return
        if self._sleeping is not None:
            self._sleeping.cancel()
        self._at = at
        self._sleeping = self._tasks.start("deliveries: alarm", self._ring(at))

    async def _ring(self, at: float) -> None:
        await self._clock.sleep(at - self._clock.monotonic())
        self._at = float("inf")
        self._sleeping = None
        self._wake.set()
