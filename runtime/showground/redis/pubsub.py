"""A subscription that outlives its connection: lost ones are opened again, and their channels told of the gap."""

from __future__ import annotations

import asyncio
import logging
import random
from collections.abc import Awaitable, Callable, Sequence

from showground.errors import ShowgroundError
from showground.redis.api import CommandRefused, Reply
from showground.redis.connection import FIRST_PAUSE_S, LONGEST_PAUSE_S
from showground.redis.wire import Wire
from showground.tasks import Tasks

log = logging.getLogger("showground.redis")

_AT_ONCE = 500


class PubSub:
    """Implements `showground.redis.api.Subscriber` on one connection to one server.

    With *sharded*, `SSUBSCRIBE` is used: all channels then belong to slots of that server.
    """

    def __init__(
        self,
        open_one: Callable[[], Awaitable[Wire]],
        on_message: Callable[[str, bytes], None],
        on_reset: Callable[[Sequence[str]], None] | None,
        deadline_s: float,
        tasks: Tasks,
        sharded: bool = False,
    ) -> None:
        self._open = open_one
        self._on_message = on_message
        self._on_reset = on_reset
        self._deadline_s = deadline_s
        self._tasks = tasks
        self._letter = "S" if sharded else ""
        self._channels: dict[str, asyncio.Event] = {}
        """Wanted channels; the event is set while Redis has confirmed the channel."""
        self._missed: set[str] = set()
        """Channels that were confirmed once and then lost, whose subscribers have not been told yet. It outlives further
        losses: a channel leaves it when it is confirmed again, not when a connection comes up."""
        self._wire: Wire | None = None
        self._closed = False
        self.on_moved: Callable[[Sequence[str]], None] | None = None
        """Told of channels that the server gave up by itself, as it does when a slot moves to another node."""

    async def open(self) -> None:
        await self._connect()
        self._tasks.start("redis subscriber", self._keep())

    async def subscribe(self, *channels: str) -> None:
        fresh = [name for name in channels if name not in self._channels]
        events = [self._channels.setdefault(name, asyncio.Event()) for name in channels]
        if fresh and self._wire is not None and self._wire.usable:
            self._wire.send_raw(self._letter + "SUBSCRIBE", *fresh)
        try:
            async with asyncio.timeout(self._deadline_s):
                for event in events:
                    await event.wait()
        except BaseException as error:
            for name in fresh:
                self._channels.pop(name, None)
                self._missed.discard(name)
            if fresh and self._wire is not None and self._wire.usable:
                self._wire.send_raw(self._letter + "UNSUBSCRIBE", *fresh)
            if isinstance(error, TimeoutError):
                raise ShowgroundError(
                    "store_unavailable", f"Redis did not confirm the subscription to {', '.join(channels)}", "redis"
                ) from None
            raise

    async def unsubscribe(self, *channels: str) -> None:
        gone = [name for name in channels if self._channels.pop(name, None) is not None]
        self._missed.difference_update(gone)
        if gone and self._wire is not None and self._wire.usable:
            self._wire.send_raw(self._letter + "UNSUBSCRIBE", *gone)

    @property
    def channels(self) -> Sequence[str]:
        return tuple(self._channels)

    async def _connect(self) -> None:
        wire = await self._open()
        wire.on_push = self._received
        self._wire = wire
        names = list(self._channels)
        for start in range(0, len(names), _AT_ONCE):
            wire.send_raw(self._letter + "SUBSCRIBE", *names[start : start + _AT_ONCE])

    async def _keep(self) -> None:
        while not self._closed:
            wire = self._wire
            if wire is not None:
                await self._until_lost(wire)
                self._wire = None
            for name, confirmed in self._channels.items():
                if confirmed.is_set():
                    self._missed.add(name)
                    confirmed.clear()
            await self._again()

    async def _until_lost(self, wire: Wire) -> None:
        """Return when the connection is gone. A silent one is asked for a sign of life, so that a half-open one is noticed."""
        loop = asyncio.get_running_loop()
        while wire.usable:
            asked = loop.time()
            try:
                async with asyncio.timeout(self._deadline_s):
                    await wire.lost.wait()
            except TimeoutError:
                if wire.usable and wire.last_received < asked:
                    wire.send_raw("PING")
                    try:
                        async with asyncio.timeout(self._deadline_s):
                            await wire.lost.wait()
                    except TimeoutError:
                        if wire.last_received < asked:
                            wire.abort("silent for too long")

    async def _again(self) -> None:
        failures = 0
        while not self._closed:
            try:
                await self._connect()
                break
            except ShowgroundError:
                failures += 1
                pause = min(FIRST_PAUSE_S * 2 ** min(failures, 10), LONGEST_PAUSE_S)
                await asyncio.sleep(random.uniform(pause / 2, pause))  # noqa: S311  # jitter, not a secret
        wire = self._wire
        for name in tuple(self._missed):
            confirmed = self._channels.get(name)
            while confirmed is not None and not confirmed.is_set() and wire is not None and wire.usable:
                await self._either(confirmed, wire)

    def _confirmed(self, name: str) -> None:
        confirmed = self._channels.get(name)
        if confirmed is None:
            return
        confirmed.set()
        if name in self._missed:
            self._missed.discard(name)
            if self._on_reset is not None:
                try:
                    self._on_reset([name])
                except Exception:
                    log.exception("a subscriber of channel %s failed to take up again", name)

    async def _either(self, confirmed: asyncio.Event, wire: Wire) -> None:
        try:
            async with asyncio.timeout(self._deadline_s):
                await confirmed.wait()
        except TimeoutError:
            wire.abort("did not confirm a subscription")

    def _received(self, reply: Reply) -> None:
        if isinstance(reply, CommandRefused):
            log.error("Redis refused a subscription: %s", reply)
            return
        if not isinstance(reply, list) or len(reply) < 2:
            return
        kind = reply[0]
        if kind in (b"message", b"smessage"):
            name = reply[1].decode()
            if name in self._channels:
                try:
                    self._on_message(name, reply[2])
                except Exception:
                    log.exception("a subscriber of channel %s failed", name)
        elif kind in (b"subscribe", b"ssubscribe"):
            self._confirmed(reply[1].decode())
        elif kind == b"sunsubscribe" and reply[1] is not None:
            name = reply[1].decode()
            if name in self._channels and self.on_moved is not None:
                self.on_moved([name])

    def close(self) -> None:
        self._closed = True
        if self._wire is not None:
            self._wire.abort("closed")
