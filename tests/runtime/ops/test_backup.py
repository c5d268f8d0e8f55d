"""Backup and restore key by key, on one server and on a cluster, and the marks that keep hosts out meanwhile."""

from __future__ import annotations

import io
import secrets
from collections.abc import AsyncIterator
from uuid import uuid4

import pytest

from showground.clock import SystemClock
from showground.errors import ShowgroundError
from showground.keys import InstallationId, KeySpace
from showground.ops import backup
from showground.ops.presence import hosts, maintenance, present
from showground.redis.api import Redis
from showground.testing.waiting import eventually

CLOCK = SystemClock()


@pytest.fixture(params=["single", "cluster"])
def redis_kind(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture
async def elsewhere(redis: Redis) -> AsyncIterator[KeySpace]:
    """Another deployment on the same Redis."""
    keys = KeySpace(f"u{uuid4().hex[:12]}")
    yield keys
    await backup.erase(redis, keys)


async def fill(redis: Redis, keys: KeySpace, count: int) -> None:
    """Keys of every type in many slots, some of them large, some of them with an expiry."""
    for number in range(count):
        own = InstallationId(f"app-{number}:town")
        await redis.call("SET", keys.of(own, "kv", "text"), b"\xff" * 100, "PXAT", CLOCK.now_ms() + 10_000_000 + number)
        await redis.call("HSET", keys.of(own, "kv", "hash"), "f", "v", "empty", "")
        await redis.call("XADD", keys.of(own, "kv", "stream"), f"{number + 1}-1", "f", "v")
        await redis.call("ZADD", keys.of(own, "kv", "zset"), "1.5", "m")
    await redis.call("SET", keys.host("bundle", "large"), b"x" * (5 * 1024 * 1024))


async def content(redis: Redis, keys: KeySpace) -> dict[bytes, tuple[bytes, int]]:
    names = {bytes(name) async for name in redis.scan(keys.host("*"))}
    return {
        name[len(keys.prefix) :]: (await redis.call("DUMP", name), await redis.call("PEXPIRETIME", name))
        for name in names
    }


@pytest.fixture
def permanent_keys() -> list[str]:
    return ["kv:*", "bundle:*", "format"]


async def test_every_key_comes_back_with_its_value_and_expiry(
    redis: Redis, keys: KeySpace, elsewhere: KeySpace, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(backup, "BYTES_AT_ONCE", 10_000)  # many round trips
    await fill(redis, keys, 60)
    file = io.BytesIO()
    made = await backup.back_up(redis, keys, CLOCK, file)
    _, verified = backup.verify(file)
    assert made.keys == verified.keys == 241
    assert await backup.is_empty(redis, elsewhere)
    restored = await backup.restore(redis, elsewhere, CLOCK, file)
    assert restored.keys == 241
    assert await content(redis, elsewhere) == await content(redis, keys)


async def test_what_expired_since_stays_away(redis: Redis, keys: KeySpace, elsewhere: KeySpace) -> None:
    await redis.call("SET", keys.host("short"), "1", "PX", 50)
    await redis.call("SET", keys.host("long"), "1", "PX", 100_000)
    file = io.BytesIO()
    await backup.back_up(redis, keys, CLOCK, file)

    async def has_expired() -> bool:
        return not await redis.call("EXISTS", keys.host("short"))

    await eventually(has_expired)
    await backup.restore(redis, elsewhere, CLOCK, file)
    assert list(await content(redis, elsewhere)) == [b":long"]


@pytest.mark.parametrize("at", [0, 10, 300, -45, -20, -1])
async def test_any_byte_that_changed_is_noticed(redis: Redis, keys: KeySpace, at: int) -> None:
    await redis.call("SET", keys.host("some"), secrets.token_bytes(1000), "EX", 600)
    file = io.BytesIO()
    await backup.back_up(redis, keys, CLOCK, file)
    backup.verify(file)
    data = bytearray(file.getvalue())
    data[at] ^= 1
    with pytest.raises(ShowgroundError) as refused:
        backup.verify(io.BytesIO(bytes(data)))
    assert refused.value.code == "invalid"


async def test_another_number_of_shards_is_refused(redis: Redis, keys: KeySpace) -> None:
    file = io.BytesIO()
    await backup.back_up(redis, keys, CLOCK, file)
    with pytest.raises(ShowgroundError, match="8 shards, this one has 4"):
        await backup.restore(redis, KeySpace(keys.prefix, 4), CLOCK, file)


async def test_hosts_and_maintenance_keep_each_other_out(redis: Redis, keys: KeySpace) -> None:
    async with present(redis, keys, "one", CLOCK):
        [where] = await hosts(redis, keys)
        assert "process" in where
        for lasting in (False, True):
            with pytest.raises(ShowgroundError, match="run"):
                async with maintenance(redis, keys, "a test", CLOCK, lasting=lasting):
                    pass
    async with maintenance(redis, keys, "a test", CLOCK):
        with pytest.raises(ShowgroundError, match="under maintenance: a test"):
            async with present(redis, keys, "two", CLOCK):
                pass
        with pytest.raises(ShowgroundError, match="other maintenance"):
            async with maintenance(redis, keys, "another", CLOCK):
                pass
    async with present(redis, keys, "three", CLOCK):
        pass
    assert await hosts(redis, keys) == []


async def test_a_lasting_mark_stays_until_the_work_is_done(redis: Redis, keys: KeySpace) -> None:
    with pytest.raises(ZeroDivisionError):
        async with maintenance(redis, keys, "a restore", CLOCK, lasting=True):
            raise ZeroDivisionError
    with pytest.raises(ShowgroundError, match="a restore"):
        async with present(redis, keys, "one", CLOCK):
            pass
    async with maintenance(redis, keys, "a restore", CLOCK, lasting=True, again=True):
        pass
    async with present(redis, keys, "two", CLOCK):
        pass


@pytest.mark.parametrize("more", ["x", "-x", ".x", "_x"])
async def test_a_deployment_whose_prefix_begins_with_this_ones_is_neither_copied_nor_erased(
    redis: Redis, keys: KeySpace, more: str
) -> None:
    longer = KeySpace(keys.prefix + more)
    await redis.call("SET", keys.host("bundle", "ours"), "1")
    await redis.call("SET", longer.host("bundle", "theirs"), "1")
    file = io.BytesIO()
    assert (await backup.back_up(redis, keys, CLOCK, file)).keys == 1
    await backup.erase(redis, keys)
    assert await backup.is_empty(redis, keys)
    assert not await backup.is_empty(redis, longer)
    await backup.erase(redis, longer)
