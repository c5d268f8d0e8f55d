"""Channels in Redis: one script per publication, one Pub/Sub subscription per listened channel and host."""

from __future__ import annotations

import secrets
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager

from showground.capabilities import Message, Position
from showground.keys import InstallationId, KeySpace
from showground.redis.api import Redis, Subscriber
from showground_realtime import scripts
from showground_realtime.log import ChannelId, Listener, Page, rate_limited, too_many_channels
from showground_realtime.settings import RealtimeSettings


def new_epoch() -> str:
    return secrets.token_hex(5)


class RedisLog:
    """Implements `log.Log` over Redis. Made by `open_redis_log`."""

    def __init__(self, redis: Redis, keys: KeySpace, settings: RealtimeSettings) -> None:
        self._redis = redis
        self._keys = keys
        self._settings = settings
        self._subscriber: Subscriber | None = None
        self._listener: Listener | None = None
        self._listened: dict[str, ChannelId] = {}

    def attach(self, listener: Listener, subscriber: Subscriber) -> None:
        self._listener, self._subscriber = listener, subscriber

    def _key(self, channel: ChannelId, kind: str) -> str:
        return self._keys.of(channel.installation, "rt", kind, channel.name)

    async def append(self, channel: ChannelId, data: bytes) -> Position:
        settings = self._settings
        reply = await self._redis.run(
            scripts.APPEND,
            [
                self._key(channel, "meta"),
                self._key(channel, "log"),
                self._keys.of(channel.installation, "rt", "channels"),
                self._keys.of(channel.installation, "rt", "rate"),
                self._key(channel, "live"),
            ],
            [
                channel.name,
                data,
                new_epoch(),
                self._redis.publish_command,
                settings.messages_per_s,
                settings.channels,
                settings.history_messages,
                settings.history_bytes,
                int(settings.history_ttl_s * 1000),
                int(settings.position_ttl_s * 1000),
            ],
        )
        if reply[0] == b"rate":
            raise rate_limited(channel.installation, settings.messages_per_s, int(reply[1]) / 1e6)
        if reply[0] == b"channels":
            raise too_many_channels(channel, settings.channels, int(reply[1]) / 1e3)
        return Position(epoch=reply[1].decode(), offset=int(reply[2]))

    async def read(self, channel: ChannelId, since: Position | None, limit: int) -> Page:
        epoch, offset, continuous, entries = await self._redis.run(
            scripts.READ,
            [self._key(channel, "meta"), self._key(channel, "log")],
            [
                new_epoch(),
                int(self._settings.history_ttl_s * 1000),
                "" if since is None else since.epoch,
                "" if since is None else since.offset,
                limit,
            ],
        )
        name = epoch.decode()
        messages = [
            Message(Position(epoch=name, offset=int(entry.partition(b"-")[0])), fields[1]) for entry, fields in entries
        ]
        if since is None:
            messages.reverse()
        return Page(Position(epoch=name, offset=int(offset)), bool(continuous), messages)

    async def listen(self, channel: ChannelId) -> None:
        assert self._subscriber is not None
        live = self._key(channel, "live")
        self._listened[live] = channel
        try:
            await self._subscriber.subscribe(live)
        except BaseException:
            self._listened.pop(live, None)
            raise

    async def unlisten(self, channel: ChannelId) -> None:
        assert self._subscriber is not None
        live = self._key(channel, "live")
        if self._listened.pop(live, None) is not None:
            await self._subscriber.unsubscribe(live)

    async def names(self, installation: InstallationId) -> Sequence[str]:
        found = await self._redis.run(scripts.NAMES, [self._keys.of(installation, "rt", "channels")])
        return sorted(name.decode() for name in found)

    async def clear(self, installation: InstallationId) -> None:
        """Delete every key of the installation's channels, and make its subscribers look afresh."""
        kinds = self._keys.of(installation, "rt", "")
        found = [key async for key in self._redis.scan(kinds + "*")]
        await self._redis.pipeline([("UNLINK", key) for key in found])
        live, meta = (
            self._keys.of(installation, "rt", "live", ""),
            self._keys.of(installation, "rt", "meta", "").encode(),
        )
        for key in found:
            if key.startswith(meta):
                await self._redis.publish(live + key.removeprefix(meta).decode(), b"")

    def on_payload(self, live: str, payload: bytes) -> None:
        """One Pub/Sub message: `epoch.offset`, a newline, the payload. An empty one says that the channel was cleared."""
        channel = self._listened.get(live)
        if channel is None or self._listener is None:
            return
        position, _, data = payload.partition(b"\n")
        try:
            message = Message(Position.parse(position.decode("ascii")), data)
        except ValueError:
            self._listener.on_doubt(channel)
        else:
            self._listener.on_message(channel, message)

    def on_reset(self, lives: Sequence[str]) -> None:
        for live in lives:
            channel = self._listened.get(live)
            if channel is not None and self._listener is not None:
                self._listener.on_doubt(channel)


@asynccontextmanager
async def open_redis_log(redis: Redis, log: RedisLog, listener: Listener) -> AsyncIterator[None]:
    """Connect *log* to Pub/Sub for as long as the context lasts."""
    async with redis.subscriber(log.on_payload, log.on_reset) as subscriber:
        log.attach(listener, subscriber)
        yield
