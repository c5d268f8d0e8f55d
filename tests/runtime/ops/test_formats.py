"""Hosts of different versions on one deployment: who may start, when the data's format is raised, and who is overtaken."""

from __future__ import annotations

import asyncio
import io
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path

import pytest
from tests.runtime.cli.processes import run

from showground.errors import ShowgroundError
from showground.keys import KeySpace
from showground.ops import backup, formats
from showground.ops.formats import Formats, Speech
from showground.ops.presence import LEASE_S, present
from showground.redis.api import Redis
from showground.testing.clock import ManualClock
from showground.testing.waiting import eventually

FIRST = Speech(1, 1, "1.0")
SECOND = Speech(1, 2, "2.0")
THIRD = Speech(2, 3, "3.0")


@pytest.fixture
def clock() -> ManualClock:
    return ManualClock()


@asynccontextmanager
async def host(
    redis: Redis, keys: KeySpace, clock: ManualClock, speech: Speech, name: str = ""
) -> AsyncIterator[Formats]:
    async with present(redis, keys, name or speech.version, clock, speech) as found:
        yield found


async def stored(redis: Redis, keys: KeySpace) -> str:
    return bytes(await redis.call("HGET", keys.host("format"), "format")).decode()


async def test_the_format_is_raised_when_the_last_older_host_has_gone(
    redis: Redis, keys: KeySpace, clock: ManualClock
) -> None:
    async with host(redis, keys, clock, SECOND) as new:
        assert new.current == 2  # alone: there is nobody to wait for
    await redis.call("HSET", keys.host("format"), "format", "1")
    exits = AsyncExitStack()
    async with exits, host(redis, keys, clock, SECOND) as new, host(redis, keys, clock, SECOND, "another") as other:
        await redis.call("HSET", keys.host("format"), "format", "1")
        old = await exits.enter_async_context(host(redis, keys, clock, FIRST))
        await clock.advance(LEASE_S)
        await eventually(lambda: (new.current, other.current) == (1, 1))
        assert (old.current, await stored(redis, keys)) == (1, "1")
        await exits.aclose()
        await clock.advance(LEASE_S)
        await eventually(lambda: (new.current, other.current) == (2, 2))
        assert await stored(redis, keys) == "2"


async def test_a_version_that_is_too_old_or_too_new_does_not_start_and_says_why(
    redis: Redis, keys: KeySpace, clock: ManualClock
) -> None:
    async with host(redis, keys, clock, FIRST):
        with pytest.raises(ShowgroundError, match=r"format 1.*this is 3\.0, which reads from 2") as refused:
            async with host(redis, keys, clock, THIRD):
                raise AssertionError
        assert "between" in refused.value.remedy
    async with host(redis, keys, clock, SECOND):
        with pytest.raises(ShowgroundError, match=r"format 2, of Showground 2\.0; this is 1\.0") as refused:
            async with host(redis, keys, clock, FIRST):
                raise AssertionError
        assert refused.value.code == "misconfigured"
    async with host(redis, keys, clock, THIRD) as third:  # step by step it goes on
        assert third.current == 3


async def test_an_older_host_that_starts_while_the_format_is_raised_is_seen_or_refused(
    redis: Redis, keys: KeySpace, clock: ManualClock
) -> None:
    refused: list[ShowgroundError] = []
    started = asyncio.Event()
    leave = asyncio.Event()

    async def start_older() -> None:
        try:
            async with host(redis, keys, clock, FIRST):
                started.set()
                await leave.wait()
        except ShowgroundError as error:
            refused.append(error)

    one = Formats(redis, keys, SECOND)
    await one.join()
    looks = 0

    async def running_while_it_starts() -> list[int]:
        nonlocal looks
        looks += 1
        if looks == 2:  # the mark is set: an older host comes at the worst moment, and goes
            await start_older()
        return [2]

    await one.follow(running_while_it_starts)
    assert (looks, one.current) == (2, 2)
    assert len(refused) == 1

    await redis.call("HSET", keys.host("format"), "format", "1")
    async with asyncio.TaskGroup() as group:
        group.create_task(start_older())
        await started.wait()
        two = Formats(redis, keys, SECOND)
        await two.join()

        async def seen_late() -> list[int]:
            nonlocal looks
            looks += 1
            return [2] if looks == 3 else [2, 1]  # it had announced itself only after the first look

        await two.follow(seen_late)
        assert (two.current, await stored(redis, keys)) == (1, "1")
        leave.set()
    await two.join()  # no mark is left that would keep others out


async def test_a_host_that_was_lost_and_overtaken_is_not_ready_any_more(
    redis: Redis, keys: KeySpace, clock: ManualClock
) -> None:
    async with host(redis, keys, clock, FIRST) as old:
        assert old.fault == ""
        await redis.call("DEL", keys.host("hosts", FIRST.version))  # its lease ran out while it was frozen
        async with host(redis, keys, clock, SECOND) as new:
            assert new.current == 2
            await clock.advance(LEASE_S / 3)
            await eventually(lambda: "format 2" in old.fault)


async def test_shards_are_fixed_for_the_life_of_a_deployment(redis: Redis, keys: KeySpace, clock: ManualClock) -> None:
    async with host(redis, keys, clock, FIRST):
        other = KeySpace(keys.prefix, keys.shards + 1)
        with pytest.raises(ShowgroundError, match="has 8 shards, and the settings say 9"):
            async with host(redis, other, clock, FIRST):
                raise AssertionError


async def test_a_backup_of_a_newer_format_is_refused_before_anything_is_deleted(
    redis: Redis, keys: KeySpace, clock: ManualClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with host(redis, keys, clock, Speech(1, formats.NEWEST + 1, "9.0")):
        file = io.BytesIO()
        await backup.back_up(redis, keys, clock, file)
    header, _ = backup.verify(file)
    with pytest.raises(ShowgroundError, match=f"format {formats.NEWEST + 1}") as refused:
        backup.refuse_unfit(header, keys)
    assert refused.value.code == "conflict"


async def test_serve_says_what_to_do_when_the_data_are_of_a_newer_version(
    tmp_path: Path, redis: Redis, redis_url: str, keys: KeySpace
) -> None:
    await redis.call("HSET", keys.host("format"), "format", "9", "shards", "8", "version", "9.1.0")
    arguments = ("serve", "--port", "0", "--data-dir", str(tmp_path), "--redis-url", redis_url)
    ended = await run(*arguments, SHOWGROUND_REDIS_PREFIX=keys.prefix)
    assert ended.code == 1
    assert "format 9, of Showground 9.1.0" in ended.err
    assert "Install that version or a newer one" in ended.err
    ended = await run("doctor", *arguments[3:], SHOWGROUND_REDIS_PREFIX=keys.prefix)
    assert ended.code == 1
    assert "fail  data format" in ended.out
