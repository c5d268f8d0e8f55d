"""What callers see while Redis is away, late or back."""

from __future__ import annotations

import asyncio
import os
import signal
from collections.abc import AsyncIterator, Sequence
from pathlib import Path

import pytest

from showground.errors import ShowgroundError
from showground.redis.api import Redis
from showground.redis.deployment import open_redis
from showground.redis.embedded import EmbeddedRedis
from showground.testing.waiting import eventually


@pytest.fixture
async def embedded(tmp_path: Path) -> AsyncIterator[EmbeddedRedis]:
    async with EmbeddedRedis(tmp_path) as server:
        yield server


@pytest.fixture
async def hasty(embedded: EmbeddedRedis) -> AsyncIterator[Redis]:
    """A client that waits 300 ms only."""
    async with open_redis(embedded.url, Path(), deadline_s=0.3) as client:
        yield client


def pid(embedded: EmbeddedRedis) -> int:
    assert embedded.server.pid is not None
    return embedded.server.pid


async def test_a_late_answer_fails_at_the_deadline_and_the_connection_recovers(
    embedded: EmbeddedRedis, hasty: Redis
) -> None:
    loop = asyncio.get_running_loop()
    os.kill(pid(embedded), signal.SIGSTOP)
    started = loop.time()
    try:
        with pytest.raises(ShowgroundError) as caught:
            await hasty.call("SET", "k", "v")
    finally:
        os.kill(pid(embedded), signal.SIGCONT)
    assert caught.value.code == "store_unavailable"
    assert 0.25 < loop.time() - started < 1.0
    assert await hasty.call("ECHO", "mine") == b"mine"


async def test_commands_sent_while_redis_restarts_wait_for_it(embedded: EmbeddedRedis) -> None:
    async with open_redis(embedded.url, Path()) as redis:
        await redis.call("SET", "k", "v")
        os.kill(pid(embedded), signal.SIGKILL)
        await eventually(lambda: not embedded.ready)
        assert await asyncio.gather(*(redis.call("GET", "k") for _ in range(100))) == [b"v"] * 100


async def test_a_full_queue_refuses_before_sending(
    hasty: Redis, embedded: EmbeddedRedis, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("showground.redis.wire.MAX_PENDING", 10)
    results = await asyncio.gather(*(hasty.call("INCR", "n") for _ in range(15)), return_exceptions=True)
    refused = [r for r in results if isinstance(r, ShowgroundError)]
    assert [r.code for r in refused] == ["overloaded"] * 5
    assert await hasty.call("GET", "n") == b"10"


async def test_a_subscriber_survives_a_restart_and_tells_of_the_gap(embedded: EmbeddedRedis) -> None:
    heard: list[tuple[str, bytes]] = []
    resets: list[Sequence[str]] = []
    async with (
        open_redis(embedded.url, Path()) as redis,
        redis.subscriber(lambda name, data: heard.append((name, data)), resets.append) as subscriber,
    ):
        await subscriber.subscribe("one", "two")
        await redis.publish("one", b"before")
        await eventually(lambda: heard == [("one", b"before")])
        os.kill(pid(embedded), signal.SIGKILL)
        await eventually(lambda: resets)
        assert sorted(resets[0]) == ["one", "two"]
        await redis.publish("two", b"after")
        await eventually(lambda: heard[-1] == ("two", b"after"))
        await subscriber.unsubscribe("one")
        await redis.publish("one", b"unheard")
        await redis.publish("two", b"last")
        await eventually(lambda: heard[-1] == ("two", b"last"))
        assert ("one", b"unheard") not in heard


async def test_a_cancelled_caller_does_not_shift_the_replies_of_others(hasty: Redis) -> None:
    async def soon_gone() -> None:
        await hasty.call("ECHO", "gone")

    task = asyncio.get_running_loop().create_task(soon_gone())
    await asyncio.sleep(0)
    other = asyncio.get_running_loop().create_task(hasty.pipeline([("ECHO", "a"), ("ECHO", "b")]))
    await asyncio.sleep(0)
    task.cancel()
    assert await other == [b"a", b"b"]


async def test_an_address_where_nobody_listens_is_named(tmp_path: Path) -> None:
    with pytest.raises(ShowgroundError, match=r"nowhere\.sock") as caught:
        async with open_redis(f"unix://{tmp_path}/nowhere.sock", tmp_path, deadline_s=1):
            pass
    assert caught.value.code == "store_unavailable"
