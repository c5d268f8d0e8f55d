"""A subscription that outlives its connection: lost ones are opened again, and their channels told of the gap."""

from __future__ import annotations

import asyncio
import logging
import random
from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence

from showground.errors import ShowgroundError
from showground.redis.api import CommandRefused, Reply
from showground.redis.connection import FIRST_PAUSE_S, LONGEST_PAUSE_S
from showground.redis.slots import by_slot
from showground.redis.wire import Wire
from showground.tasks import Tasks

log = logging.getLogger("showground.redis")

_AT_ONCE = 500


async def until_confirmed(channels: Mapping[str, asyncio.Event], deadline_s: float) -> None:
    """Wait for all of them; `store_unavailable` when that takes longer than *deadline_s*."""
    try:
        async with asyncio.timeout(deadline_s):
            for event in channels.values():
                await event.wait()
    except TimeoutError:
        late = ", ".join(name for name, event in channels.items() if not event.is_set())
        if late:  # the last may have come in the turn of the loop that noticed the time
            raise ShowgroundError(
                "store_unavailable", f"Redis did not confirm the subscription to {late}", "redis"
            ) from None


class PubSub:
    """Implements `showground.redis.api.Subscriber` on one connection to one server.

    With *sharded*, `SSUBSCRIBE` is used, and who made it keeps the channels where their slots are: see `want`, `release`.
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
        self._sharded = sharded
        self._channels: dict[str, asyncio.Event] = {}
        """Wanted channels; the event is set while Redis has confirmed the channel."""
        self._missed: set[str] = set()
        """Channels that were confirmed once and then lost, whose subscribers have not been told yet. It outlives further
        losses: a channel leaves it when it is confirmed again, not when a connection comes up."""
        self._wire: Wire | None = None
        self._closed = False
        self.on_refused: Callable[[str], None] | None = None
        """Told what the server answered instead of a confirmation, or an empty text when it gave a channel up by itself, as
        it does when a slot moves to another node."""

    async def open(self) -> None:
        """Connect, or raise why not."""
        await self._connect()
        self.start()

    def start(self) -> None:
        """Look after the connection, which may not be there yet."""
        self._tasks.keep("redis subscriber", self._keep)

    async def subscribe(self, *channels: str) -> None:
        fresh = [name for name in channels if name not in self._channels]
        self.want({name: asyncio.Event() for name in fresh})
        try:
            await until_confirmed({name: self._channels[name] for name in channels}, self._deadline_s)
        except BaseException:
            await self.unsubscribe(*fresh)
            raise

    async def unsubscribe(self, *channels: str) -> None:
        self.release(channels)

    @property
    def channels(self) -> Sequence[str]:
        return tuple(self._channels)

    def want(self, channels: Mapping[str, asyncio.Event], missed: Iterable[str] = ()) -> None:
        """Subscribe to *channels* and set their events once that is confirmed; *missed* were confirmed elsewhere before."""
        self._channels.update(channels)
        self._missed.update(missed)
        self._send("SUBSCRIBE", channels)

    def release(self, channels: Iterable[str]) -> set[str]:
        """Unsubscribe; returns those that were confirmed once, with whose subscribers' knowledge there may be a gap now."""
        gone = {name: event for name in channels if (event := self._channels.pop(name, None)) is not None}
        known = {name for name, event in gone.items() if event.is_set() or name in self._missed}
        self._missed.difference_update(gone)
        self._send("UNSUBSCRIBE", gone)
        return known

    def renew(self) -> None:
        """Ask once more for what is not confirmed."""
        self._send("SUBSCRIBE", [name for name, confirmed in self._channels.items() if not confirmed.is_set()])

    def reset(self, reason: str, unless_to: str = "") -> None:
        """Drop the connection for a new one, perhaps to another server, unless it leads there already."""
        if self._wire is not None and str(self._wire.address) != unless_to:
            self._wire.abort(reason)

    def _send(self, verb: str, names: Iterable[str]) -> None:
        wire = self._wire
        if wire is None or not wire.usable:
            return  # all that is wanted is sent when there is a connection
        if self._sharded:
            for group in by_slot(names):
                wire.send_raw("S" + verb, *group)
            return
        chosen = list(names)
        for start in range(0, len(chosen), _AT_ONCE):
            wire.send_raw(verb, *chosen[start : start + _AT_ONCE])

    async def _connect(self) -> None:
        wire = await self._open()
        if self._closed:
            wire.abort("not needed any more")
            return
        wire.on_push = self._received
        self._wire = wire
        self._send("SUBSCRIBE", self._channels)

    async def _keep(self) -> None:
        while not self._closed:
            wire = self._wire
            if wire is not None:
                await self._until_lost(wire)
                self._wire = None
            for name in self._channels:
                self._lose(name)
            await self._again()

    def _lose(self, name: str) -> None:
        confirmed = self._channels[name]
        if confirmed.is_set():
            self._missed.add(name)
            confirmed.clear()

    async def _until_lost(self, wire: Wire) -> None:
        """Return when the connection is gone. One that is silent when asked for a sign of life, or does not confirm a
        channel, is dropped: so a half-open one is noticed."""
        loop = asyncio.get_running_loop()
        while wire.usable:
            asked = loop.time()
            awaited = {name: event for name, event in self._channels.items() if not event.is_set()}
            if await self._lost_within(wire, self._deadline_s):
                return
            if not self._sharded and any(
                self._channels.get(name) is event and not event.is_set() for name, event in awaited.items()
            ):
                wire.abort("did not confirm a subscription")
            elif wire.usable and wire.last_received < asked:
                wire.send_raw("PING")
                if not await self._lost_within(wire, self._deadline_s) and wire.last_received < asked:
                    wire.abort("silent for too long")

    @staticmethod
    async def _lost_within(wire: Wire, seconds: float) -> bool:
        try:
            async with asyncio.timeout(seconds):
                await wire.lost.wait()
        except TimeoutError:
            return False
        return True

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

    def _received(self, reply: Reply) -> None:
        if isinstance(reply, CommandRefused):
            if self.on_refused is None:
                log.error("Redis refused a subscription: %s", reply)
            else:
                self.on_refused(str(reply))
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
            if name in self._channels and self.on_refused is not None:
                self._lose(name)
                self.on_refused("")

    def close(self) -> None:
        self._closed = True
        if self._wire is not None:
            self._wire.abort("closed")
