"""The realtime capability: checks what callers give, then asks the log and the hub."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager

from showground.capabilities import Message, Position, Realtime, RealtimeLimits, Subscribed
from showground.errors import ShowgroundError
from showground.hookspecs import Services
from showground.keys import CHANNEL_NAME, InstallationId
from showground.model import HostEvent
from showground_realtime.hub import Deliver, Hub, HubSubscription, OnGap
from showground_realtime.log import ChannelId, Log
from showground_realtime.memory_log import MemoryLog
from showground_realtime.redis_log import RedisLog, open_redis_log
from showground_realtime.settings import RealtimeSettings, read_settings


def channel_id(installation: InstallationId, name: str) -> ChannelId:
    """Raises `invalid` when *name* is no channel name."""
    if not CHANNEL_NAME.fullmatch(name):
        raise ShowgroundError(
            "invalid", f"{name!r} is not a channel name", "channel", "Use letters, digits and _, at most 64."
        )
    return ChannelId(installation, name)


class Channels:
    """Implements `capabilities.Realtime` over a log and a hub."""

    def __init__(self, log: Log, hub: Hub, settings: RealtimeSettings, services: Services) -> None:
        self._log = log
        self._hub = hub
        self._clock = services.clock
        self._observe = services.observe
        self.settings = settings

    @property
    def limits(self) -> RealtimeLimits:
        return self.settings.limits

    async def publish(self, installation: InstallationId, channel: str, data: bytes) -> Position:
        """Observers are told of each attempt: `realtime_message` with the outcome, `sent` or an error's code."""
        outcome = "failed"
        try:
            position = await self._publish(installation, channel, data)
            outcome = "sent"
            return position
        except ShowgroundError as error:
            outcome = error.code
            raise
        finally:
            self._observe(HostEvent(name="realtime_message", at_ms=self._clock.now_ms(), labels={"outcome": outcome}))

    async def _publish(self, installation: InstallationId, channel: str, data: bytes) -> Position:
        if len(data) > self.settings.message_bytes:
            raise ShowgroundError(
                "too_large",
                f"the message has {len(data)} bytes; the limit is {self.settings.message_bytes}; it was not sent",
                "realtime",
                "Keep the data in Redis and send only what changed.",
            )
        return await self._log.append(channel_id(installation, channel), data)

    async def subscribe(
        self,
        installation: InstallationId,
        channel: str,
        deliver: Deliver,
        since: Position | None = None,
        on_gap: OnGap | None = None,
    ) -> HubSubscription:
        return await self._hub.subscribe(channel_id(installation, channel), deliver, since, on_gap)

    async def history(
        self, installation: InstallationId, channel: str, since: Position | None = None, limit: int = 100
    ) -> tuple[Sequence[Message], Subscribed]:
        page = await self._log.read(
            channel_id(installation, channel), since, max(1, min(limit, self.settings.history_messages))
        )
        return page.messages, Subscribed(page.position, page.continuous)

    async def channels(self, installation: InstallationId) -> Sequence[str]:
        return await self._log.names(installation)

    async def clear(self, installation: InstallationId) -> None:
        await self._log.clear(installation)


@asynccontextmanager
async def open_redis(services: Services) -> AsyncIterator[Realtime]:
    """The provider `redis`."""
    settings = read_settings(services.options)
    log = RedisLog(services.redis, services.keys, settings)
    hub = Hub(log, services.clock, settings)
    async with open_redis_log(services.redis, log, hub), hub:
        yield Channels(log, hub, settings, services)


@asynccontextmanager
async def open_memory(services: Services) -> AsyncIterator[Realtime]:
    """The provider `memory`: the same rules within one process; nothing outlives it."""
    settings = read_settings(services.options)
    log = MemoryLog(services.clock, settings)
    async with Hub(log, services.clock, settings) as hub:
        log.attach(hub)
        yield Channels(log, hub, settings, services)
