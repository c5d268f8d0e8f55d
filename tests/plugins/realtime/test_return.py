"""Many clients that come back at once, over Redis and real sockets."""

from __future__ import annotations

import asyncio

from tests.plugins.realtime.serving import Host, frames, serve

from showground.keys import KeySpace
from showground.redis.api import Redis
from showground.testing.services import services
from showground_realtime.channels import open_redis


async def test_a_crowd_that_moves_from_a_stopping_host_to_another_misses_nothing(redis: Redis, keys: KeySpace) -> None:
    async def listen(host: Host, query: str, count: int) -> list[dict[str, object]]:
        async with await host.connect(query) as socket:
            return await frames(socket, count)

    async with (
        serve(open_redis(services({}, redis, keys=keys))) as old,
        serve(open_redis(services({}, redis, keys=keys))) as new,
    ):
        sockets = [await old.connect() for _ in range(80)]
        await old.publish(*[b"%d" % n for n in range(10)])
        seen = [(await frames(socket, 11))[-1] for socket in sockets]
        draining = asyncio.ensure_future(old.drain())
        hints = [(await frames(socket, 1))[0] for socket in sockets]
        assert {hint["type"] for hint in hints} == {"reconnect"}
        await new.publish(*[b"%d" % n for n in range(10, 30)])
        for socket in sockets:
            await socket.close()
        await draining
        returned = await asyncio.gather(*(listen(new, f"?since={m['position']}", 21) for m in seen))
        for hello, *missed in returned:
            assert hello["recovered"] is True
            assert [m["data"] for m in missed] == list(range(10, 30))
