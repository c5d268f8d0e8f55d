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
    """One open connection. `end` may be called by anyone, once or more; the first reason counts."""

    def __init__(self, on_end: Callable[[Stream], None] | None = None) -> None:
        self.code: CloseCode | None = None
        self.ending = asyncio.Event()
        self.gone = asyncio.Event()
        self.on_end = on_end

    def end(self, code: CloseCode) -> None:
        if self.code is None:
            self.code = code
            self.ending.set()
            if self.on_end is not None:
                self.on_end(self)


class Streams:
    """All open connections of one host."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._open: dict[Stream, None] = {}
        self._draining = False

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
        stream.gone.set()

    async def drain(self) -> None:
        """End every connection, in batches, so that neither this host nor the next meets all its clients at once."""
        self._draining = True
        streams = list(self._open)
        for start in range(0, len(streams), DRAIN_BATCH):
            if start:
                await self._clock.sleep(DRAIN_PAUSE_S)
            batch = streams[start : start + DRAIN_BATCH]
            for stream in batch:
                stream.end(CloseCode.DRAINING)
        for stream in streams:
            await stream.gone.wait()
