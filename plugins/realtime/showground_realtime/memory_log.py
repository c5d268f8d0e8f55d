"""Channels in the memory of one process, with the rules of the Redis log. For unit tests and single-process trials."""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass, field
from itertools import islice

from showground.capabilities import Message, Position
from showground.clock import Clock
from showground.keys import InstallationId
from showground_realtime.log import ChannelId, Listener, Page, rate_limited, too_many_channels
from showground_realtime.redis_log import new_epoch
from showground_realtime.settings import RealtimeSettings


@dataclass(slots=True)
class _Channel:
    epoch: str
    forgotten_at: float
    """Monotonic seconds at which the position goes."""
    offset: int = 0
    trimmed: int = 0
    bytes: int = 0
    history: deque[Message] = field(default_factory=deque)
    history_until: float = 0.0

    def drop_oldest(self) -> None:
        oldest = self.history.popleft()
        self.trimmed = oldest.position.offset
        self.bytes -= len(oldest.data)


class MemoryLog:
    """Implements `log.Log` within one process. Messages reach the listener before `append` returns."""

    def __init__(self, clock: Clock, settings: RealtimeSettings) -> None:
        self._clock = clock
        self._settings = settings
        self._channels: dict[ChannelId, _Channel] = {}
        self._accepted: dict[InstallationId, deque[float]] = {}
        self._listened: set[ChannelId] = set()
        self._listener: Listener | None = None

    def attach(self, listener: Listener) -> None:
        self._listener = listener

    def _channel(self, channel: ChannelId) -> _Channel:
        now = self._clock.monotonic()
        found = self._channels.get(channel)
        if found is None or found.forgotten_at <= now:
            found = self._channels[channel] = _Channel(new_epoch(), now + self._settings.history_ttl_s)
        if found.history_until <= now:
            while found.history:
                found.drop_oldest()
        return found

    def _counting(self, installation: InstallationId) -> dict[str, float]:
        """Name → seconds until it stops counting."""
        now = self._clock.monotonic()
        return {
            c.name: held.history_until - now
            for c, held in self._channels.items()
            if c.installation == installation and held.history_until > now
        }

    async def append(self, channel: ChannelId, data: bytes) -> Position:
        settings, now = self._settings, self._clock.monotonic()
        accepted = self._accepted.setdefault(channel.installation, deque(maxlen=settings.messages_per_s))
        if len(accepted) == settings.messages_per_s and now - accepted[0] < 1.0:
            raise rate_limited(channel.installation, settings.messages_per_s, 1.0 - (now - accepted[0]))
        counting = self._counting(channel.installation)
        if channel.name not in counting and len(counting) >= settings.channels:
            raise too_many_channels(channel, settings.channels, min(counting.values()))
        held = self._channel(channel)
        held.offset += 1
        message = Message(Position(epoch=held.epoch, offset=held.offset), data)
        held.history.append(message)
        held.bytes += len(data)
        while len(held.history) > settings.history_messages or (
            held.bytes > settings.history_bytes and len(held.history) > 1
        ):
            held.drop_oldest()
        held.history_until = now + settings.history_ttl_s
        held.forgotten_at = now + settings.position_ttl_s
        accepted.append(now)
        if channel in self._listened and self._listener is not None:
            self._listener.on_message(channel, message)
        return message.position

    async def read(self, channel: ChannelId, since: Position | None, limit: int) -> Page:
        held = self._channel(channel)
        held.forgotten_at = max(held.forgotten_at, self._clock.monotonic() + self._settings.history_ttl_s)
        position = Position(epoch=held.epoch, offset=held.offset)
        if since is None:
            return Page(position, False, list(held.history)[max(0, len(held.history) - limit) :])
        if since.epoch != held.epoch or not held.trimmed <= since.offset <= held.offset:
            return Page(position, False, ())
        later = islice(held.history, since.offset - held.trimmed, since.offset - held.trimmed + limit)
        return Page(position, True, list(later))

    async def listen(self, channel: ChannelId) -> None:
        self._listened.add(channel)

    async def unlisten(self, channel: ChannelId) -> None:
        self._listened.discard(channel)

    async def names(self, installation: InstallationId) -> Sequence[str]:
        return sorted(self._counting(installation))

    async def clear(self, installation: InstallationId) -> None:
        self._accepted.pop(installation, None)
        for channel in [c for c in self._channels if c.installation == installation]:
            del self._channels[channel]
            if channel in self._listened and self._listener is not None:
                self._listener.on_doubt(channel)
