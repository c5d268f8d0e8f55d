"""Realtime within one process: for a host that is alone and wants no Redis between a message and its subscribers.

It keeps what the protocol promises, within two limits of the place: other hosts hear nothing, and history goes with the process.
"""

from __future__ import annotations

import logging
from collections import deque
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from secrets import token_hex

import msgspec

from showground.capabilities import Message, Position, RealtimeLimits, Subscribed
from showground.clock import Clock
from showground.errors import ShowgroundError
from showground.hookspecs import Services
from showground.keys import CHANNEL_NAME, InstallationId
from showground.model import Frozen

log = logging.getLogger("greeter_plugin.local_realtime")

Deliver = Callable[[Message], None]


class Options(Frozen, frozen=True, kw_only=True):
    """What this provider reads of the section `[realtime]`; the rest of it is the endpoints' business."""

    messages_per_s: int = 100
    message_bytes: int = 1024 * 1024
    channels: int = 5
    history_messages: int = 1000
    history_bytes: int = 8 * 1024 * 1024
    history_ttl_s: float = 300.0
    position_ttl_s: float = 86_400.0


class Subscriber:
    """Implements `showground.capabilities.Subscription`."""

    def __init__(
        self, channel: Channel, deliver: Deliver, on_gap: Callable[[], None] | None, start: Subscribed
    ) -> None:
        self._channel = channel
        self._deliver = deliver
        self._on_gap = on_gap
        self.start = start
        self.position = start.position

    def take(self, message: Message) -> None:
        self.position = message.position
        try:
            self._deliver(message)
        except Exception:
            log.exception("a subscriber failed; the others go on")

    def gap(self, position: Position) -> None:
        self.position = position
        if self._on_gap is not None:
            self._on_gap()

    async def close(self) -> None:
        self._channel.subscribers.pop(self, None)


class Channel:
    """One channel: its history, and who listens. All of it happens within one turn of the loop, so it is atomic."""

    def __init__(self, options: Options, now: float) -> None:
        self._options = options
        self.subscribers: dict[Subscriber, None] = {}
        self.history: deque[Message] = deque()
        self._bytes = 0
        self._epoch = token_hex(6)
        self._offset = 0
        self.used_at = now

    @property
    def position(self) -> Position:
        return Position(epoch=self._epoch, offset=self._offset)

    def append(self, data: bytes, now: float) -> Position:
        self._offset += 1
        self.used_at = now
        message = Message(self.position, data)
        self.history.append(message)
        self._bytes += len(data)
        while len(self.history) > self._options.history_messages or self._bytes > self._options.history_bytes:
            self._bytes -= len(self.history.popleft().data)
        for subscriber in list(self.subscribers):
            subscriber.take(message)
        return message.position

    def after(self, since: Position) -> Sequence[Message] | None:
        """All messages after *since*, or None when not all of them are here."""
        missed = self._offset - since.offset
        if since.epoch != self._epoch or not 0 <= missed <= len(self.history):
            return None
        return list(self.history)[len(self.history) - missed :]

    def forget_history(self) -> None:
        self.history.clear()
        self._bytes = 0

    def reset(self, now: float) -> None:
        """Begin anew, and tell who listens that what was is gone."""
        self.forget_history()
        self._epoch, self._offset, self.used_at = token_hex(6), 0, now
        for subscriber in list(self.subscribers):
            subscriber.gap(self.position)


class LocalRealtime:
    """Implements `showground.capabilities.Realtime`."""

    def __init__(self, options: Options, clock: Clock) -> None:
        self._options = options
        self._clock = clock
        self._channels: dict[InstallationId, dict[str, Channel]] = {}
        self._published: dict[InstallationId, deque[float]] = {}

    @property
    def limits(self) -> RealtimeLimits:
        o = self._options
        return RealtimeLimits(messages_per_s=o.messages_per_s, message_bytes=o.message_bytes, channels=o.channels)

    async def publish(self, installation: InstallationId, channel: str, data: bytes) -> Position:
        _check_name(channel)
        if len(data) > self._options.message_bytes:
            text = f"the message has {len(data)} bytes; the limit is {self._options.message_bytes}; it was not sent"
            raise ShowgroundError("too_large", text, channel, "Send less, or a reference to it.")
        now = self._clock.monotonic()
        live = self._live(installation, now)
        if channel not in live and len(live) >= self._options.channels:
            free_at = min(c.used_at for c in live.values()) + self._options.history_ttl_s
            text = f"{installation} uses {len(live)} channels already: {', '.join(sorted(live))}"
            raise ShowgroundError("quota_exceeded", text, channel, "Use one of them.", retry_after=free_at - now)
        self._count(installation, now)
        return self._channel(installation, channel, now).append(data, now)

    async def subscribe(
        self,
        installation: InstallationId,
        channel: str,
        deliver: Deliver,
        since: Position | None = None,
        on_gap: Callable[[], None] | None = None,
    ) -> Subscriber:
        _check_name(channel)
        now = self._clock.monotonic()
        self._live(installation, now)
        found = self._channel(installation, channel, now)
        missed = found.after(since) if since is not None else None
        subscriber = Subscriber(found, deliver, on_gap, Subscribed(found.position, missed is not None))
        for message in missed or ():
            subscriber.take(message)
        found.subscribers[subscriber] = None
        return subscriber

    async def history(
        self, installation: InstallationId, channel: str, since: Position | None = None, limit: int = 100
    ) -> tuple[Sequence[Message], Subscribed]:
        _check_name(channel)
        now = self._clock.monotonic()
        self._live(installation, now)
        # Whoever only reads leaves nothing behind: a channel that nobody used is made up for the answer.
        found = self._channels.get(installation, {}).get(channel) or Channel(self._options, now)
        if since is None:
            return list(found.history)[-limit:], Subscribed(found.position, False)
        missed = found.after(since)
        return (missed or [])[:limit], Subscribed(found.position, missed is not None)

    async def channels(self, installation: InstallationId) -> Sequence[str]:
        return sorted(self._live(installation, self._clock.monotonic()))

    async def clear(self, installation: InstallationId) -> None:
        channels = self._channels.pop(installation, {})
        for channel in channels.values():
            channel.reset(self._clock.monotonic())
        heard = {name: channel for name, channel in channels.items() if channel.subscribers}
        if heard:
            self._channels[installation] = heard
        self._published.pop(installation, None)

    # --- inside ---

    def _channel(self, installation: InstallationId, name: str, now: float) -> Channel:
        channels = self._channels.setdefault(installation, {})
        return channels.get(name) or channels.setdefault(name, Channel(self._options, now))

    def _live(self, installation: InstallationId, now: float) -> dict[str, Channel]:
        """The channels that have history, once what is too old has been forgotten."""
        channels = self._channels.get(installation, {})
        for name, channel in list(channels.items()):
            idle_s = now - channel.used_at
            if idle_s >= self._options.history_ttl_s:
                channel.forget_history()
            if idle_s >= self._options.position_ttl_s and not channel.subscribers:
                del channels[name]
        return {name: channel for name, channel in channels.items() if channel.history}

    def _count(self, installation: InstallationId, now: float) -> None:
        """At most so many in any one second, whatever the channel."""
        sent = self._published.setdefault(installation, deque())
        while sent and sent[0] <= now - 1.0:
            sent.popleft()
        if len(sent) >= self._options.messages_per_s:
            text = f"{installation} sent {len(sent)} messages within a second; this one was not sent"
            raise ShowgroundError("rate_limited", text, "realtime", "Send fewer.", retry_after=sent[0] + 1.0 - now)
        sent.append(now)


def _check_name(channel: str) -> None:
    if not CHANNEL_NAME.fullmatch(channel):
        raise ShowgroundError("invalid", f"{channel!r} is no channel name", "channel", "Use letters, digits and _.")


@asynccontextmanager
async def open_local(services: Services) -> AsyncIterator[LocalRealtime]:
    try:
        options = msgspec.convert(services.options, Options)
    except msgspec.ValidationError as error:
        raise ShowgroundError("misconfigured", str(error), "realtime") from error
    yield LocalRealtime(options, services.clock)
