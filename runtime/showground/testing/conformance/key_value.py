"""What every provider of `KEY_VALUE` promises, as a class of tests that third parties run too:

```python
from showground.testing.conformance.key_value import KeyValueConformance

class TestMine(KeyValueConformance):
    @pytest.fixture
    async def provider(self, open_key_value):
        async with open_key_value(open_mine, quota_bytes=100_000) as provider:
            yield provider
```

`open_key_value(build, **options)` enters a provider's `build(services)` with real services: the test's Redis and key space,
and a clock that the test moves. The suite needs a quota of 100,000 bytes.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from typing import Any

import pytest

from showground.capabilities import Argument, KeyValue, KeyValueReply
from showground.errors import ShowgroundError
from showground.hookspecs import Services
from showground.keys import KeySpace
from showground.redis.api import Redis
from showground.testing.clock import ManualClock
from showground.testing.services import services
from showground.testing.waiting import eventually

OpenKeyValue = Callable[..., AbstractAsyncContextManager[KeyValue]]
SCOPE = "game:lounge"
OTHER = "game:arcade"


class Left:
    """Equal to what a key still has of so many *seconds*: a server may have to wait for its turn between two commands."""

    def __init__(self, seconds: int) -> None:
        self._seconds = seconds

    def __eq__(self, found: object) -> bool:
        return isinstance(found, int) and self._seconds - 60 < found <= self._seconds

    def __repr__(self) -> str:
        return f"Left({self._seconds})"


async def run(provider: KeyValue, *command: Argument, scope: str = SCOPE) -> KeyValueReply:
    """One command; raises the error that stands in its place."""
    reply = (await provider.execute(scope, [command]))[0]
    if isinstance(reply, Exception):
        raise reply
    return reply


async def scan(provider: KeyValue, *command: Argument, scope: str = SCOPE) -> tuple[str, list[str]]:
    """One page of a scan: the cursor and the names."""
    page: Any = await run(provider, "SCAN", *command, scope=scope)
    return page[0], page[1]


async def code_of(provider: KeyValue, *command: Argument) -> str:
    """The error code of a command that must fail."""
    with pytest.raises(ShowgroundError) as caught:
        await run(provider, *command)
    return caught.value.code


class KeyValueConformance:
    """Subclass it and give the fixture `provider`."""

    @pytest.fixture
    def open_key_value(self, redis: Redis, keys: KeySpace, clock: ManualClock) -> OpenKeyValue:
        @asynccontextmanager
        async def opened(
            build: Callable[[Services], AbstractAsyncContextManager[KeyValue]], **options: Any
        ) -> AsyncIterator[KeyValue]:
            async with build(services(options, redis, keys=keys, clock=clock)) as provider:
                yield provider

        return opened

    @pytest.fixture
    def takes_asked(self) -> bool:
        """Whether the provider answers anything without a task. It need not."""
        return False

    async def test_what_can_be_asked_without_a_task_is_answered_as_by_execute(
        self, provider: KeyValue, takes_asked: bool
    ) -> None:
        taken = 0
        await run(provider, "SET", "k", "mine")
        await run(provider, "HSET", "h", "f", "v")
        for scope in (SCOPE, OTHER):
            for command in (
                ["GET", "k"],
                ["hgetall", "h"],
                ["LLEN", "k"],
                ["GET"],
                ["MGET", "k", "h"],
                ["EVAL", "1", "0"],
            ):
                told: list[object] = []

                def tell(result: object, error: Exception | None, told: list[object] = told) -> None:
                    told.append(repr(result if error is None else error))

                if provider.ask(scope, command, tell):
                    taken += 1
                    await eventually(lambda told=told: told)  # type: ignore[misc]
                    assert told == [repr((await provider.execute(scope, [command]))[0])]
        assert taken or not takes_asked

    @pytest.mark.parametrize(
        "session",
        [
            [("SET", "k", "v"), "OK", ("GET", "k"), "v", ("APPEND", "k", "w"), 2, ("STRLEN", "k"), 2,
             ("GETRANGE", "k", 0, -1), "vw", ("SETRANGE", "k", 1, "xyz"), 4, ("GET", "k"), "vxyz",
             ("SET", "k", 1, "NX"), None, ("SET", "k", 5, "XX", "GET"), "vxyz", ("INCRBY", "k", 3), 8,
             ("INCRBYFLOAT", "k", 0.5), "8.5", ("GETDEL", "k"), "8.5", ("GET", "k"), None],
            [("MSET", "a", 1, "b", ""), "OK", ("MGET", "a", "b", "c"), ["1", "", None],
             ("EXISTS", "a", "b", "c", "a"), 3, ("DEL", "a", "c"), 1, ("MSETNX", "a", 1, "b", 2), 0,
             ("EXISTS", "a"), 0, ("RENAME", "b", "d"), "OK", ("TYPE", "d"), "string", ("TYPE", "b"), "none"],
            [("SET", "k", "v"), "OK", ("TTL", "k"), -1, ("TTL", "none"), -2, ("EXPIRE", "k", 100), 1,
             ("TTL", "k"), Left(100), ("SET", "k", "w", "KEEPTTL"), "OK", ("TTL", "k"), Left(100), ("PERSIST", "k"), 1,
             ("TTL", "k"), -1, ("EXPIREAT", "k", 4102444800), 1, ("EXPIRETIME", "k"), 4102444800,
             ("EXPIRE", "k", 0), 1, ("EXISTS", "k"), 0, ("EXPIRE", "k", 5), 0],
            [("HSET", "h", "a", 1, "b", 2), 2, ("HSET", "h", "a", 9, "c", 3), 1, ("HGET", "h", "a"), "9",
             ("HMGET", "h", "c", "x"), ["3", None], ("HLEN", "h"), 3, ("HEXISTS", "h", "b"), 1,
             ("HINCRBY", "h", "a", -4), 5, ("HSETNX", "h", "a", 0), 0, ("HKEYS", "h"), ["a", "b", "c"],
             ("HGETALL", "h"), ["a", "5", "b", "2", "c", "3"], ("HDEL", "h", "a", "b", "c"), 3, ("EXISTS", "h"), 0],
            [("ZADD", "z", 2, "b", 1, "a", 2, "c"), 3, ("ZRANGE", "z", 0, -1), ["a", "b", "c"],
             ("ZRANGE", "z", 0, 1, "REV", "WITHSCORES"), ["c", "2", "b", "2"], ("ZADD", "z", "GT", "CH", 5, "a", 1, "b"), 1,
             ("ZSCORE", "z", "a"), "5", ("ZRANK", "z", "a"), 2, ("ZREVRANK", "z", "a"), 0, ("ZRANK", "z", "x"), None,
             ("ZINCRBY", "z", 1.5, "b"), "3.5", ("ZRANGE", "z", "(2", "+inf", "BYSCORE"), ["b", "a"],
             ("ZRANGE", "z", "+inf", "-inf", "BYSCORE", "REV", "LIMIT", 1, 1), ["b"], ("ZCOUNT", "z", 2, 4), 2,
             ("ZADD", "z", "INCR", 1, "c"), "3", ("ZPOPMIN", "z"), ["c", "3"], ("ZREMRANGEBYRANK", "z", 0, 0), 1,
             ("ZREMRANGEBYSCORE", "z", "-inf", "+inf"), 1, ("EXISTS", "z"), 0],
            [("ZADD", "l", 0, "a", 0, "b", 0, "c", 0, "d"), 4, ("ZRANGE", "l", "[b", "(d", "BYLEX"), ["b", "c"],
             ("ZLEXCOUNT", "l", "-", "+"), 4, ("ZREMRANGEBYLEX", "l", "-", "[b"), 2, ("ZCARD", "l"), 2,
             ("ZMSCORE", "l", "c", "x"), ["0", None], ("ZREM", "l", "c", "d"), 2],
            [("SADD", "s", "a", "b", "a"), 2, ("SADD", "t", "b", "c"), 2, ("SINTER", "s", "t"), ["b"],
             ("SISMEMBER", "s", "a"), 1, ("SMISMEMBER", "s", "a", "c"), [1, 0], ("SMOVE", "s", "t", "a"), 1,
             ("SDIFFSTORE", "d", "t", "s"), 2, ("SCARD", "d"), 2, ("SREM", "s", "b"), 1, ("EXISTS", "s"), 0],
            [("RPUSH", "q", "a", "b", "c"), 3, ("LPUSH", "q", "z"), 4, ("LRANGE", "q", 0, -1), ["z", "a", "b", "c"],
             ("LPOP", "q"), "z", ("RPOP", "q", 2), ["c", "b"], ("LLEN", "q"), 1, ("LSET", "q", 0, "x"), "OK",
             ("LINSERT", "q", "BEFORE", "x", "w"), 2, ("LINDEX", "q", -1), "x", ("LMOVE", "q", "r", "LEFT", "RIGHT"), "w",
             ("LREM", "q", 0, "x"), 1, ("EXISTS", "q"), 0, ("LPUSHX", "q", 1), 0, ("LTRIM", "r", 1, 0), "OK", ("LLEN", "r"), 0],
            [("XADD", "x", "1-1", "f", "v"), "1-1", ("XADD", "x", "2-0", "f", "w"), "2-0", ("XLEN", "x"), 2,
             ("XRANGE", "x", "-", "+", "COUNT", 1), [["1-1", ["f", "v"]]],
             ("XREVRANGE", "x", "+", "-", "COUNT", 1), [["2-0", ["f", "w"]]],
             ("XREAD", "STREAMS", "x", "1-1"), [["x", [["2-0", ["f", "w"]]]]], ("XREAD", "STREAMS", "x", "2-0"), None,
             ("XDEL", "x", "1-1"), 1, ("XTRIM", "x", "MAXLEN", 0), 1, ("XLEN", "x"), 0],
        ],
        ids=["strings", "many keys", "expiry", "hashes", "sorted sets", "lex", "sets", "lists", "streams"],
    )  # fmt: skip
    async def test_commands_answer_as_redis_does(self, provider: KeyValue, session: list[Any]) -> None:
        commands, wanted = session[::2], session[1::2]
        assert await provider.execute(SCOPE, commands) == wanted

    async def test_bytes_survive_and_text_comes_as_text(self, provider: KeyValue) -> None:
        await run(provider, "SET", "raw", b"\xff\x00")
        await run(provider, "SET", "text", "größer")
        assert await run(provider, "GET", "raw") == b"\xff\x00"
        assert await run(provider, "GET", "text") == "größer"

    async def test_scopes_see_only_their_own_keys(self, provider: KeyValue) -> None:
        await run(provider, "SET", "name", "mine")
        assert await run(provider, "GET", "name", scope=OTHER) is None
        await run(provider, "SET", "name", "global", scope="game:*")
        assert await run(provider, "GET", "name") == "mine"
        assert await scan(provider, 0, scope=OTHER) == ("0", [])

    async def test_scan_finds_own_keys_by_pattern(self, provider: KeyValue) -> None:
        for n in range(30):
            await run(provider, "SET", f"user[{n}]", n)
        await run(provider, "SADD", "other", "x")
        found: set[str] = set()
        cursor = "0"
        while True:
            cursor, names = await scan(provider, cursor, "MATCH", "user*", "COUNT", 7)
            found.update(names)
            if cursor == "0":
                break
        assert found == {f"user[{n}]" for n in range(30)}

    async def test_what_is_not_allowed_is_refused_and_the_rest_is_done(self, provider: KeyValue) -> None:
        refused = [("KEYS", "*"), ("EVAL", "return 1", 0), ("FLUSHALL",), ("GET",), ("GET", "a", "b"), ("XREAD", "BLOCK", 0,
                   "STREAMS", "x", "0"), ("SET", "a", True), ("MSET", "a", 1, "b")]  # fmt: skip
        commands: list[Sequence[Any]] = [("SET", "done", 1), *refused, ("GET", "done")]
        results = await provider.execute(SCOPE, commands)
        assert results[0] == "OK"
        assert results[-1] == "1"
        codes = [r.code for r in results[1:-1] if isinstance(r, ShowgroundError)]
        assert codes == ["unknown_command"] * 3 + ["invalid"] * 5

    async def test_errors_of_redis_have_codes(self, provider: KeyValue) -> None:
        await run(provider, "SET", "text", "abc")
        assert await code_of(provider, "HGET", "text", "f") == "wrong_type"
        assert await code_of(provider, "LPUSH", "text", "f") == "wrong_type"
        assert await code_of(provider, "INCRBY", "text", 1) == "invalid"
        assert await code_of(provider, "RENAME", "nothing", "x") == "invalid"
        assert await code_of(provider, "SET", "text", "x" * (5 * 1024 * 1024 + 1)) == "too_large"

    async def test_a_write_over_the_quota_is_refused_and_deleting_makes_room(self, provider: KeyValue) -> None:
        written = 0

        async def fill() -> None:
            nonlocal written
            for n in range(200):
                await run(provider, "SET", f"k{n}", "x" * 1000)
                written += 1

        with pytest.raises(ShowgroundError) as caught:
            await fill()
        assert caught.value.code == "quota_exceeded"
        used, allowed = await provider.usage(SCOPE)
        assert allowed == 100_000
        assert 98_000 < used <= allowed + 1000
        assert await run(provider, "EXISTS", f"k{written}") == 0
        assert await run(provider, "GET", "k0") == "x" * 1000
        await run(provider, "SET", "free", "1", scope=OTHER)
        await run(provider, "DEL", *(f"k{n}" for n in range(10)))
        assert await run(provider, "SET", "again", "x" * 1000) == "OK"
        await run(provider, "DEL", "again", *(f"k{n}" for n in range(10, written)))
        assert (await provider.usage(SCOPE))[0] == 0

    async def test_exec_does_all_or_gives_none_when_a_watched_key_changed(self, provider: KeyValue) -> None:
        await run(provider, "SET", "seats", 3)
        lost = await provider.transaction(SCOPE, ["seats"])
        won = await provider.transaction(SCOPE, ["seats"])
        assert await lost.execute(["GET", "seats"]) == "3"
        for transaction, seats in ((won, 2), (lost, 9)):
            await transaction.execute(["MULTI"])
            assert await transaction.execute(["SET", "seats", seats]) == "QUEUED"
            await transaction.execute(["GET", "seats"])
        assert await won.exec() == ["OK", "2"]
        assert await lost.exec() is None
        assert await run(provider, "GET", "seats") == "2"

    async def test_a_transaction_over_the_quota_writes_nothing(self, provider: KeyValue) -> None:
        transaction = await provider.transaction(SCOPE, [])
        await transaction.execute(["MULTI"])
        for n in range(3):
            await transaction.execute(["SET", f"big{n}", "x" * 40_000])
        with pytest.raises(ShowgroundError) as caught:
            await transaction.exec()
        assert caught.value.code == "quota_exceeded"
        assert await run(provider, "EXISTS", "big0", "big1", "big2") == 0

    async def test_a_refused_command_spoils_its_transaction(self, provider: KeyValue) -> None:
        transaction = await provider.transaction(SCOPE, [])
        await transaction.execute(["MULTI"])
        await transaction.execute(["SET", "k", 1])
        with pytest.raises(ShowgroundError):
            await transaction.execute(["FLUSHALL"])
        with pytest.raises(ShowgroundError):
            await transaction.exec()
        assert await run(provider, "EXISTS", "k") == 0

    async def test_unwatch_and_discard_do_what_they_say(self, provider: KeyValue) -> None:
        transaction = await provider.transaction(SCOPE, ["k"])
        await transaction.execute(["UNWATCH"])
        await run(provider, "SET", "k", "other")
        await transaction.execute(["MULTI"])
        await transaction.execute(["SET", "k", "mine"])
        assert await transaction.exec() == ["OK"]
        transaction = await provider.transaction(SCOPE, ["k"])
        await transaction.execute(["MULTI"])
        await transaction.execute(["SET", "k", "never"])
        await transaction.execute(["DISCARD"])
        assert await run(provider, "GET", "k") == "mine"

    async def test_a_transaction_ends_after_five_seconds(self, provider: KeyValue, clock: ManualClock) -> None:
        transaction = await provider.transaction(SCOPE, ["k"])
        await clock.advance(4.9)
        assert await transaction.execute(["GET", "k"]) is None
        await clock.advance(0.2)

        async def over() -> bool:
            try:
                await transaction.execute(["GET", "k"])
            except ShowgroundError as error:
                return error.code == "conflict"
            return False

        await eventually(over)

    async def test_twenty_transactions_are_open_at_most(self, provider: KeyValue) -> None:
        opened = [await provider.transaction(SCOPE, []) for _ in range(20)]
        with pytest.raises(ShowgroundError) as caught:
            await provider.transaction(SCOPE, [])
        assert caught.value.code == "quota_exceeded"
        await opened[0].close()
        await opened[0].close()
        opened.append(await provider.transaction(SCOPE, []))
        await asyncio.gather(*(transaction.close() for transaction in opened))

    async def test_an_export_loads_into_another_scope_as_it_was(self, provider: KeyValue) -> None:
        await provider.execute(
            SCOPE,
            [
                ("SET", "text", "v", "EX", 1000), ("SET", "raw", b"\xff"), ("HSET", "hash", "f", "v", "g", b"\xfe"),
                ("RPUSH", "list", "b", "a"), ("SADD", "set", "m"), ("ZADD", "zset", 1.5, "m", "inf", "n"),
                ("XADD", "stream", "5-1", "f", "v"),
            ],
        )  # fmt: skip
        records = [record async for record in provider.export(SCOPE)]
        for record in records:
            await provider.load(OTHER, record)
            await provider.load(OTHER, record)
        again = [record async for record in provider.export(OTHER)]
        assert sorted(again, key=lambda r: str(r["key"])) == sorted(records, key=lambda r: str(r["key"]))
        assert {str(r["key"]) for r in records} == {"text", "raw", "hash", "list", "set", "zset", "stream"}
        with pytest.raises(ShowgroundError) as caught:
            await provider.load(OTHER, {"key": "x", "type": "cheese", "value": ""})
        assert caught.value.code == "invalid"

    async def test_clear_deletes_everything_of_the_scope_and_nothing_else(self, provider: KeyValue) -> None:
        await run(provider, "MSET", "a", 1, "b", 2)
        await run(provider, "SET", "a", 1, scope=OTHER)
        assert await provider.clear(SCOPE) == 2
        assert await run(provider, "EXISTS", "a", "b") == 0
        assert (await provider.usage(SCOPE))[0] == 0
        assert await run(provider, "EXISTS", "a", scope=OTHER) == 1
