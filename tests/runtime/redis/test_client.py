"""The client on a real server, and on a real cluster."""

from __future__ import annotations

import asyncio

import pytest

from showground.keys import KeySpace
from showground.redis.api import CommandRefused, Redis, Script
from showground.testing.waiting import eventually

INCREMENT = Script("return redis.call('INCRBY', KEYS[1], ARGV[1])")


@pytest.fixture(params=["single", "cluster"])
def redis_kind(request: pytest.FixtureRequest) -> str:
    return str(request.param)


async def test_concurrent_commands_each_get_their_own_reply(redis: Redis, keys: KeySpace) -> None:
    names = [keys.host("n", str(n)) for n in range(1000)]
    await asyncio.gather(*(redis.call("SET", name, n, "EX", 60) for n, name in enumerate(names)))
    replies = await asyncio.gather(*(redis.call("GET", name) for name in names))
    assert replies == [str(n).encode() for n in range(1000)]


async def test_a_refused_command_in_a_pipeline_stands_in_its_place(redis: Redis, keys: KeySpace) -> None:
    name = keys.host("x")
    replies = await redis.pipeline([("SET", name, "a", "EX", 60), ("LPUSH", name, "b"), ("GET", name)])
    assert replies[0] == b"OK"
    assert isinstance(replies[1], CommandRefused)
    assert replies[2] == b"a"
    with pytest.raises(CommandRefused, match="WRONGTYPE"):
        await redis.call("LPUSH", name, "b")


async def test_a_script_runs_also_when_the_server_has_forgotten_it(redis: Redis, keys: KeySpace) -> None:
    name = keys.host("count")
    await redis.call("SCRIPT", "FLUSH")
    assert await redis.run(INCREMENT, [name], [2]) == 2
    assert await redis.run(INCREMENT, [name], [3]) == 5
    await redis.call("EXPIRE", name, 60)


async def test_exec_gives_none_when_a_watched_key_changed(redis: Redis, keys: KeySpace) -> None:
    name = keys.host("watched")
    async with redis.transaction(name) as transaction:
        await transaction.call("WATCH", name)
        await redis.call("SET", name, "other", "EX", 60)
        await transaction.call("MULTI")
        await transaction.call("SET", name, "mine")
        assert await transaction.call("EXEC") is None
    assert await redis.call("GET", name) == b"other"


async def test_a_transaction_that_was_left_open_does_not_reach_the_next_borrower(redis: Redis, keys: KeySpace) -> None:
    name = keys.host("open")
    async with redis.transaction(name) as transaction:
        await transaction.call("MULTI")
        await transaction.call("SET", name, "never")
    async with redis.transaction(name) as transaction:
        assert await transaction.call("GET", name) is None


async def test_scan_finds_every_key_of_a_pattern(redis: Redis, keys: KeySpace) -> None:
    names = {keys.host("s", str(n)) for n in range(2500)}
    await redis.pipeline([("SET", name, 1, "EX", 60) for name in names])
    assert {key.decode() async for key in redis.scan(keys.host("s", "*"))} == names


async def test_a_subscriber_hears_what_is_published_by_call_and_by_script(redis: Redis, keys: KeySpace) -> None:
    heard: list[tuple[str, bytes]] = []
    tell = Script("return redis.call(ARGV[1], KEYS[1], ARGV[2])")
    names = [keys.host("channel", str(n)) for n in range(4)]
    async with redis.subscriber(lambda *message: heard.append(message)) as subscriber:
        for name in names:
            await subscriber.subscribe(name)
        for name in names:
            await redis.publish(name, b"call")
            await redis.run(tell, [name], [redis.publish_command, b"script"])
        await eventually(lambda: len(heard) == 8)
        await subscriber.unsubscribe(names[0])
        await redis.publish(names[0], b"unheard")
        await redis.publish(names[1], b"last")
        await eventually(lambda: heard[-1] == (names[1], b"last"))
    for name in names:
        assert [data for channel, data in heard if channel == name][:2] == [b"call", b"script"]
    assert (names[0], b"unheard") not in heard


async def test_a_script_that_was_loaded_is_known_wherever_its_keys_are(redis: Redis, keys: KeySpace) -> None:
    await redis.call("SCRIPT", "FLUSH")
    await redis.call("SCRIPT", "LOAD", INCREMENT.source)
    names = [keys.host(str(n)) for n in range(50)]
    assert await redis.pipeline([("EVALSHA", INCREMENT.sha, 1, name, 1) for name in names]) == [1] * 50
    await redis.pipeline([("EXPIRE", name, 60) for name in names])


async def test_a_round_trip_is_timed(redis: Redis) -> None:
    assert 0 <= await redis.ping() < 5
