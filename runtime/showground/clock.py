"""Time, injected: nothing else in the project reads a clock, so tests move time instead of waiting for it."""

from __future__ import annotations

import asyncio
import time
from typing import Protocol


class Clock(Protocol):
    """Wall time, monotonic time, and a sleep that follows them."""

    def now_ms(self) -> int:
        """Milliseconds since 1970-01-01 UTC."""
        ...

    def monotonic(self) -> float:
        """Seconds that only ever grow; for deadlines and durations."""
        ...

    async def sleep(self, seconds: float) -> None:
        """Return once `monotonic()` has grown by *seconds*; a negative value is zero."""
        ...


class SystemClock:
    """The machine's own clocks."""

    def now_ms(self) -> int:
        return time.time_ns() // 1_000_000

    monotonic = staticmethod(time.monotonic)
    """Asked so often that a method around it costs a fiftieth of an event (2026-11-24)."""

    async def sleep(self, seconds: float) -> None:
        await asyncio.sleep(max(0.0, seconds))
