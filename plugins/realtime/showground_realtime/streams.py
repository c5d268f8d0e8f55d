"""Open connections of the endpoints: admission, ending one, and ending all when the host drains."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from showground.clock import Clock
from showground.errors import ShowgroundError
from showground_realtime.closing import CloseCode

DRAIN_BATCH = 500
DRAIN_PAUSE_S = 0.1


class Stream:
    """One open connection. `end` may be called by anyone, once or more; the first reason counts.

    It is as small as it can be: an `asyncio.Event` takes 0.8 kB, a twentieth of what a connection does (2026-11-24)."""

    __slots__ = ("_close", "code")

    def __init__(self) -> None:
        self.code: CloseCode | None = None
        self._close: Callable[[CloseCode], None] | None = None

    def end(self, code: CloseCode) -> None:
        if self.code is None:
            self.code = code
            if self._close is not None:
                self._close(code)

    def when_ending(self, close: Callable[[CloseCode], None]) -> None:
        """Have *close* called on `end`; at once when that was before."""
        self._close = close
        if self.code is not None:
            close(self.code)


class Streams:
    """All open connections of one host."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._open: dict[Stream, None] = {}
        self._draining = False
        self._empty = asyncio.Event()
        """Set once draining has ended every connection."""
        self.drained = 0
        """How many there were when draining began."""

    def __len__(self) -> int:
        return len(self._open)

    def admit(self, stream: Stream, limit: int) -> None:
        """Raises `not_ready` while the host drains, `overloaded` when it has no room."""
        if self._draining:
            raise ShowgroundError("not_ready", "the host is stopping", "realtime", "Reconnect.", retry_after=1)
        if len(self._open) >= limit:
            raise ShowgroundError(
                "overloaded",
                f"the host has {limit} realtime connections, which is its limit",
                "realtime",
                "Raise `[realtime] connections`, or add a host.",
                retry_after=5,
            )
        self._open[stream] = None

    def release(self, stream: Stream) -> None:
        self._open.pop(stream, None)
        if self._draining and not self._open:
            self._empty.set()

    async def drain(self) -> None:
        """End every connection, in batches, so that neither this host nor the next meets all its clients at once."""
        self._draining = True
        streams = list(self._open)
        self.drained = max(self.drained, len(streams))
        for start in range(0, len(streams), DRAIN_BATCH):
            if start:
                await self._clock.sleep(DRAIN_PAUSE_S)
            batch = streams[start : start + DRAIN_BATCH]
            for stream in batch:
                stream.end(CloseCode.DRAINING)
        if self._open:
            await self._empty.wait()
