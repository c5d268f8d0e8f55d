"""Messages of browsers that reached another host than the one that serves their view.

A browser without WebSockets listens on one request and speaks on others; behind a balancer these may land anywhere. They are
passed on by Pub/Sub, at most once: the browser repeats what is not acknowledged.
"""

from __future__ import annotations

import logging
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

import msgspec

from showground.keys import KeySpace
from showground.model import Frozen
from showground.redis.api import Redis

log = logging.getLogger("showground.views")


class Passed(Frozen, frozen=True, kw_only=True):
    post: str
    view: str
    message: bytes


class Inbox:
    def __init__(self, redis: Redis, keys: KeySpace, host_id: str) -> None:
        self._redis = redis
        self._keys = keys
        self._host_id = host_id

    async def pass_on(self, host_id: str, passed: Passed) -> None:
        await self._redis.publish(self._keys.host("inbox", host_id), msgspec.msgpack.encode(passed))

    @asynccontextmanager
    async def open(self, receive: Callable[[Passed], None]) -> AsyncIterator[None]:
        """Call *receive* for what other hosts pass on to this one."""
        decode = msgspec.msgpack.Decoder(Passed).decode

        def on_message(channel: str, payload: bytes) -> None:
            try:
                receive(decode(payload))
            except Exception:
                log.exception("a message of a browser that another host passed on could not be used")

        async with self._redis.subscriber(on_message) as subscriber:
            await subscriber.subscribe(self._keys.host("inbox", self._host_id))
            yield
