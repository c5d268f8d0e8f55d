"""`context.redis` and `context.cache` as an app uses them, over the plugin's member and a real Redis."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import msgspec
import pytest

from showground.capabilities import KeyValue
from showground.context.cache import Cache
from showground.context.redis import Redis as AppRedis
from showground.errors import ShowgroundError
from showground.keys import InstallationId, KeySpace
from showground.model import Invocation
from showground.redis.api import Redis
from showground.testing.clock import ManualClock
from showground.testing.services import services
from showground.testing.waiting import eventually
from showground_redis_kv.member import Member
from showground_redis_kv.redis import open_redis


class Wire:
    """Calls the member as the broker does: what crosses goes through msgpack."""

    def __init__(self, provider: KeyValue, community: str = "lounge") -> None:
        invocation = Invocation(
            id="1", installation=InstallationId(f"game:{community}"), app="game", app_version="1", community=community,
            kind="trigger", name="x", timeout_s=30,
        )  # fmt: skip
        self._methods = Member(invocation, provider).methods
        self.calls: list[str] = []

    async def __call__(self, member: str, method: str, /, *args: object) -> Any:
        assert member == "redis"
        self.calls.append(method)
        arguments = msgspec.msgpack.decode(msgspec.msgpack.encode(args))
        return msgspec.msgpack.decode(msgspec.msgpack.encode(await self._methods[method](*arguments)))


@pytest.fixture
async def provider(redis: Redis, keys: KeySpace, clock: ManualClock) -> AsyncIterator[KeyValue]:
    async with open_redis(services({}, redis, keys=keys, clock=clock)) as opened:
        yield opened


@pytest.fixture
def wire(provider: KeyValue) -> Wire:
    return Wire(provider)


@pytest.fixture
def app(wire: Wire) -> AppRedis:
    return AppRedis(wire)


async def test_calls_of_one_loop_turn_travel_as_one(app: AppRedis, wire: Wire) -> None:
    await asyncio.gather(*(app.set(f"k{n}", n) for n in range(50)))
    values = await asyncio.gather(*(app.get(f"k{n}") for n in range(50)))
    assert values == [str(n) for n in range(50)]
    assert wire.calls == ["execute", "execute"]


async def test_who_is_cancelled_takes_nobody_along(app: AppRedis, wire: Wire) -> None:
    first, *others = (asyncio.ensure_future(app.incrby("n", 1)) for _ in range(4))
    await asyncio.sleep(0)
    first.cancel()
    assert sorted(await asyncio.gather(*others)) == [1, 2, 3]
    assert first.cancelled()
    assert await app.get("n") == "3"


async def test_replies_have_the_shapes_that_redis_py_gives(app: AppRedis) -> None:
    assert await app.set("k", "v", nx=True) is True
    assert await app.set("k", "w", nx=True) is None
    assert await app.get("k") == "v"
    assert await app.get_buffer("k") == b"v"
    assert await app.hset("h", mapping={"a": 1, "b": "x"}) == 2
    assert await app.hgetall("h") == {"a": "1", "b": "x"}
    assert await app.zadd("z", {"m": 1.5, "n": 2}) == 2
    assert await app.zrange("z", 0, -1, withscores=True) == [("m", 1.5), ("n", 2.0)]
    assert await app.zrange("z", "m", "m", bylex=True) == ["m"]
    assert await app.zrange("z", 2, 9, byscore=True, offset=0, num=1) == ["n"]
    assert await app.zscore("z", "none") is None
    assert await app.sadd("s", "x", "y") == 2
    assert await app.smembers("s") == {"x", "y"}
    assert await app.xadd("x", {"f": "v"}, id="1-1") == "1-1"
    assert await app.xread({"x": "0"}) == {"x": [("1-1", {"f": "v"})]}
    assert await app.incrby("big", 2**53 + 1) == 2**53 + 1
    assert await app.bitfield("bits", "incrBy", "u8", 0, 255, "incrBy", "u8", 0, 2) == [255, 1]
    assert {name async for name in app.scan_iter()} == {"k", "h", "z", "s", "x", "big", "bits"}


async def test_an_error_reaches_its_own_caller_only(app: AppRedis) -> None:
    await app.set("text", "x")
    results = await asyncio.gather(app.hget("text", "f"), app.get("text"), return_exceptions=True)
    assert isinstance(results[0], ShowgroundError)
    assert results[0].code == "wrong_type"
    assert results[1] == "x"


async def test_global_keys_are_shared_over_communities_and_others_are_not(provider: KeyValue) -> None:
    here, there = AppRedis(Wire(provider, "lounge")), AppRedis(Wire(provider, "arcade"))
    await here.set("own", "1")
    await here.global_.set("shared", "1")
    assert await there.get("own") is None
    assert await there.global_.get("shared") == "1"


async def test_a_lost_race_gives_none_and_a_won_one_the_converted_replies(app: AppRedis) -> None:
    await app.set("seats", 3)
    async with app.watch("seats") as lost, app.watch("seats") as won:
        assert await lost.get("seats") == "3"
        for transaction in (won, lost):
            transaction.multi()
            await transaction.decr("seats")
            await transaction.zadd("log", {"x": 1})
            await transaction.zrange("log", 0, -1, withscores=True)
        assert await won.exec() == [2, 1, [("x", 1.0)]]
        assert await lost.exec() is None
    assert await app.get("seats") == "2"


async def test_the_cache_fetches_once_for_many_callers(wire: Wire) -> None:
    fetched = 0

    async def fetch() -> dict[str, int]:
        nonlocal fetched
        fetched += 1
        await eventually(lambda: len(wire.calls) > asked + 2)  # the others look again, and it is still not there
        return {"n": fetched}

    cache, asked = Cache(wire), len(wire.calls)
    results = await asyncio.gather(*(cache(fetch, key="weather", ttl_ms=60_000) for _ in range(20)))
    assert results == [{"n": 1}] * 20
    assert fetched == 1


async def test_one_refreshes_an_old_entry_while_the_others_get_it(wire: Wire, clock: ManualClock) -> None:
    started, finish = asyncio.Event(), asyncio.Event()

    async def slow() -> str:
        started.set()
        await finish.wait()
        return "new"

    async def never() -> str:
        raise AssertionError("the lock is taken")

    async def old() -> str:
        return "old"

    cache, ttl_ms = Cache(wire, clock.now_ms), 600_000  # of Redis' real time; the lock lasts half as long
    assert await cache(old, key="k", ttl_ms=ttl_ms) == "old"
    clock.jump(605)
    async with asyncio.TaskGroup() as group:
        refreshing = group.create_task(cache(slow, key="k", ttl_ms=ttl_ms))
        await started.wait()
        assert await cache(never, key="k", ttl_ms=ttl_ms) == "old"
        finish.set()
    assert refreshing.result() == "new"
    assert await cache(never, key="k", ttl_ms=ttl_ms) == "new"


async def test_a_failed_fetch_is_kept_for_a_moment(wire: Wire, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("showground.context.cache.ERROR_MS", 60_000)  # of Redis' real time

    async def broken() -> str:
        raise RuntimeError("no weather")

    cache = Cache(wire)
    with pytest.raises(RuntimeError):
        await cache(broken, key="k", ttl_ms=5000)
    with pytest.raises(ShowgroundError, match="no weather"):
        await cache(broken, key="k", ttl_ms=5000)


async def test_whoever_gets_the_lock_late_takes_what_was_fetched_before(wire: Wire) -> None:
    """Somebody else fetched, and gave the lock back, between our reading and our locking."""
    may_lock = asyncio.Event()

    async def hesitant(member: str, method: str, /, *args: object) -> Any:
        if "__lock__k" in repr(args):
            await may_lock.wait()
        return await wire(member, method, *args)

    async def fetch() -> str:
        return "first"

    async def never() -> str:
        raise AssertionError("it is there already")

    late = asyncio.ensure_future(Cache(hesitant)(never, key="k", ttl_ms=60_000))
    await eventually(lambda: wire.calls)
    assert await Cache(wire)(fetch, key="k", ttl_ms=60_000) == "first"
    may_lock.set()
    assert await late == "first"
