"""Connections that are lent, one caller at a time: WATCH belongs to a connection, so a transaction needs one of its own."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager

from showground.errors import ShowgroundError
from showground.redis.api import Arg, CommandRefused, Reply
from showground.redis.connection import checked
from showground.redis.wire import Wire

MAX_LENT = 64
MAX_IDLE = 8


class LentConnection:
    """Implements `showground.redis.api.Transaction` on one wire; remembers what must be undone before the next one gets it."""

    def __init__(self, wire: Wire) -> None:
        self._wire = wire
        self._dirty = ""

    async def call(self, *command: Arg) -> Reply:
        name = str(command[0]).upper()
        if name == "WATCH":
            self._dirty = self._dirty or "UNWATCH"
        elif name == "MULTI":
            self._dirty = "DISCARD"
        try:
            reply = checked((await self._wire.send([command]))[0])
        except BaseException:
            # Nobody knows where the conversation stands now, so nobody else may continue it.
            self._wire.abort("a transaction was left in the middle")
            raise
        if name in ("EXEC", "DISCARD", "UNWATCH"):
            self._dirty = ""
        if isinstance(reply, CommandRefused):
            raise reply
        return reply

    async def clean(self) -> bool:
        """Whether the wire may be lent again."""
        if self._dirty and self._wire.usable:
            await self.call(self._dirty)
        return self._wire.usable and self._wire.idle


class Lender:
    """A bounded pool: at most `MAX_LENT` at once; who comes later waits until the deadline, then gets `overloaded`."""

    def __init__(self, open_one: Callable[[], Awaitable[Wire]], deadline_s: float) -> None:
        self._open = open_one
        self._deadline_s = deadline_s
        self._idle: list[Wire] = []
        self._permits = asyncio.Semaphore(MAX_LENT)
        self._closed = False

    @asynccontextmanager
    async def lend(self) -> AsyncIterator[LentConnection]:
        try:
            async with asyncio.timeout(self._deadline_s):
                await self._permits.acquire()
        except TimeoutError:
            raise ShowgroundError(
                "overloaded", f"{MAX_LENT} transactions are open already", "redis", retry_after=1.0
            ) from None
        try:
            wire = await self._take()
            lent = LentConnection(wire)
            reusable = False
            try:
                yield lent
                reusable = await lent.clean()
            finally:
                if reusable and not self._closed and len(self._idle) < MAX_IDLE:
                    self._idle.append(wire)
                else:
                    wire.abort("not needed any more")
        finally:
            self._permits.release()

    async def _take(self) -> Wire:
        while self._idle:
            wire = self._idle.pop()
            if wire.usable:
                return wire
        return await self._open()

    def forget(self) -> None:
        """Close the idle ones: their server may not be the right one any more."""
        for wire in self._idle:
            wire.abort("not needed any more")
        self._idle.clear()

    def close(self) -> None:
        self._closed = True
        self.forget()
