"""The bounded queue before one connection, and what happens when its reader is slower than its channel."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Literal

from showground.capabilities import Message, Position
from showground_realtime.framing import Encoder

Policy = Literal["disconnect", "latest"]
"""`disconnect`: every message, in order; who falls further behind than its queue is cut, and told to come back to its position.
`latest`: while the reader is behind, each message replaces the one that waits; the newest always arrives."""

LATEST_BYTES = 64 * 1024
"""Backlog from which a `latest` reader counts as behind. Small, so that what it gets is fresh."""
RECHECK_S = 0.02
"""How often readers that are behind are looked at."""


TICK_S = 0.004
"""Shortest time between two rounds of writes: a quarter of a frame on a 60 Hz screen."""


class Flusher:
    """Writes out what connections were given: at once when the last round is `TICK_S` ago, else then, all together.

    What a connection got in between leaves in one system call, which is what fan-out costs (5 us of 5.5, measured 2026-11-24
    with 500 connections). An app that sends ten messages one after the other publishes them about 1 ms apart, so joining only
    what came in the same turn of the loop would join nothing. Messages further apart than a tick wait for nothing.
    """

    def __init__(self) -> None:
        self.due: list[Outbox] = []
        """Those that are given something; the first of a round is given to `add`."""
        self._behind: dict[Outbox, None] = {}
        self._next_s = 0.0

    def add(self, outbox: Outbox) -> None:
        if not self.due:
            loop = asyncio.get_running_loop()
            if loop.time() >= self._next_s:
                loop.call_soon(self._flush)
            else:
                loop.call_at(self._next_s, self._flush)
        self.due.append(outbox)

    def watch(self, outbox: Outbox) -> None:
        if not self._behind:
            asyncio.get_running_loop().call_later(RECHECK_S, self._recheck)
        self._behind[outbox] = None

    def _flush(self) -> None:
        self._next_s = asyncio.get_running_loop().time() + TICK_S
        due, self.due = self.due, []
        for outbox in due:
            outbox.flush()

    def _recheck(self) -> None:
        behind, self._behind = self._behind, {}
        for outbox in behind:
            outbox.recheck()


class Outbox:
    """Frames on their way to one connection. Starts closed: what it is given waits until `open`, and must fit the limit.

    At most *limit* bytes wait, plus the one message that went over it.
    """

    __slots__ = (
        "_encode",
        "_flusher",
        "_frames",
        "_held",
        "_is_latest",
        "_limit",
        "_on_overflow",
        "_size",
        "_transport",
        "is_complete",
        "is_over",
    )

    def __init__(
        self, flusher: Flusher, encode: Encoder, policy: Policy, limit: int, on_overflow: Callable[[], None]
    ) -> None:
        self._flusher = flusher
        self._encode = encode
        self._is_latest = policy == "latest"
        self._limit = limit
        self._on_overflow = on_overflow
        self._transport: asyncio.WriteTransport | None = None
        self._frames: list[bytes] = []
        self._size = 0
        self._held: bytes | None = None
        self.is_complete = True
        """Before `open`: whether nothing had to be dropped."""
        self.is_over = False

    def drop_all(self) -> None:
        """Before `open`: give up what waits, because it has a hole or is too much."""
        self._frames.clear()
        self._size = 0
        self.is_complete = False

    def open(self, transport: asyncio.WriteTransport, hello: bytes) -> None:
        self._transport = transport
        if transport.is_closing():  # uvloop's would raise; whoever reads from the connection finds it closed
            self.end()
            return
        transport.write(b"".join((hello, *self._frames)))
        self._frames.clear()
        self._size = 0

    @property
    def is_open(self) -> bool:
        return self._transport is not None

    def gap(self, position: Position) -> None:
        """Tell that continuity was lost, and from where on messages follow."""
        self._held = None
        self.send(self._encode.framing.notice("gap", {"position": str(position)}))

    def deliver(self, message: Message) -> None:
        """The callback that a channel gets. It runs for each subscriber and message, so the usual case makes no calls."""
        if self.is_over:
            return
        encode = self._encode
        frame = encode.frame if encode.latest is message else encode(message)
        transport = self._transport
        if transport is None:
            if self._size > self._limit:
                self.drop_all()
            if self.is_complete:
                self._frames.append(frame)
                self._size += len(frame)
            return
        if self._is_latest and (
            self._held is not None or transport.get_write_buffer_size() + self._size > LATEST_BYTES
        ):
            self._held = frame
            self._flusher.watch(self)
        elif self._frames or not self._flusher.due:
            self.send(frame)
        else:
            self._flusher.due.append(self)
            self._frames.append(frame)
            self._size = len(frame)

    def send(self, frame: bytes) -> None:
        if self.is_over:
            return
        if not self._frames:
            self._flusher.add(self)
        self._frames.append(frame)
        self._size += len(frame)
        if self._size > self._limit:
            self.flush()

    def flush(self) -> None:
        frames = self._frames
        transport = self._transport
        if not frames or transport is None:
            return
        if transport.is_closing():
            self.end()
            return
        if transport.get_write_buffer_size() > self._limit:
            self.end()
            self._on_overflow()
            return
        transport.write(frames[0] if len(frames) == 1 else b"".join(frames))
        self._frames = []
        self._size = 0

    def recheck(self) -> None:
        """Send what waits once the reader has caught up."""
        transport, held = self._transport, self._held
        if self.is_over or held is None or transport is None:
            return
        if transport.is_closing():
            self.end()
        elif transport.get_write_buffer_size() + self._size > LATEST_BYTES:
            self._flusher.watch(self)
        else:
            self._held = None
            self.send(held)

    def abort(self) -> None:
        """Cut the connection, whatever still waits in it."""
        if self._transport is not None and not self._transport.is_closing():
            self._transport.abort()

    def end(self, last: bytes = b"") -> None:
        """Send *last* after what was given, and take no more."""
        if last and self._transport is not None and not self.is_over:
            self._frames.append(last)
            self.flush()
        self.is_over = True
        self._frames = []
        self._size = 0
        self._held = None
