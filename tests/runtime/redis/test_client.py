"""The client on a real server."""

from __future__ import annotations

import asyncio

import pytest

from showground.keys import KeySpace
from showground.redis.api import CommandRefused, Redis, Script

INCREMENT = Script("return redis.call('INCRBY', KEYS[1], ARGV[1])")


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
