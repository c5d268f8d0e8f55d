"""What callers see while Redis is away, late or back."""

from __future__ import annotations

import asyncio
import os
import resource
import signal
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import AsyncExitStack
from pathlib import Path

import pytest
from tests.runtime.redis.haste import hurried

from chaos.proxy import Proxy
from showground.errors import ShowgroundError
from showground.redis.address import parse_url
from showground.redis.api import Redis
from showground.redis.deployment import open_redis
from showground.redis.embedded import EmbeddedRedis
from showground.redis.pubsub import PubSub
from showground.redis.transactions import MAX_LENT
from showground.redis.wire import Wire, let_transports_close, open_wire
from showground.tasks import Tasks
from showground.testing.waiting import eventually


@pytest.fixture
async def embedded(tmp_path: Path) -> AsyncIterator[EmbeddedRedis]:
    async with EmbeddedRedis(tmp_path) as server:
        yield server


@pytest.fixture
async def client(embedded: EmbeddedRedis) -> AsyncIterator[Redis]:
    async with open_redis(embedded.url, Path()) as client:
        yield client


def pid(embedded: EmbeddedRedis) -> int:
    assert embedded.server.pid is not None
    return embedded.server.pid


async def answers(redis: Redis) -> bool:
    try:
        return bool(await redis.call("ECHO", "mine") == b"mine")
    except ShowgroundError:
        return False  # the pause between two attempts to connect may be longer than a deadline


async def test_a_late_answer_fails_at_the_deadline_and_the_connection_recovers(
    embedded: EmbeddedRedis, client: Redis
) -> None:
    loop = asyncio.get_running_loop()
    with hurried(client, 0.3):
        os.kill(pid(embedded), signal.SIGSTOP)
        started = loop.time()
        try:
            with pytest.raises(ShowgroundError, match=r"no answer in 0\.3 s") as caught:
                await client.call("SET", "k", "v")
            took = loop.time() - started  # and it stands still yet: nothing but the deadline has ended the call
        finally:
            os.kill(pid(embedded), signal.SIGCONT)
    assert caught.value.code == "store_unavailable"
    assert took > 0.25
    await eventually(lambda: answers(client))


async def test_commands_sent_while_redis_restarts_wait_for_it(tmp_path: Path) -> None:
    async with EmbeddedRedis(tmp_path, fsync="always") as embedded, open_redis(embedded.url, Path()) as redis:
        await redis.call("SET", "k", "v")
        os.kill(pid(embedded), signal.SIGKILL)
        await eventually(lambda: not embedded.ready)
        assert await asyncio.gather(*(redis.call("GET", "k") for _ in range(100))) == [b"v"] * 100


async def test_a_full_queue_refuses_before_sending(
    client: Redis, embedded: EmbeddedRedis, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("showground.redis.wire.MAX_PENDING", 10)
    results = await asyncio.gather(*(client.call("INCR", "n") for _ in range(15)), return_exceptions=True)
    refused = [r for r in results if isinstance(r, ShowgroundError)]
    assert [r.code for r in refused] == ["overloaded"] * 5
    assert await client.call("GET", "n") == b"10"


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
        await eventually(lambda: len(resets) == 2)
        assert sorted(name for names in resets for name in names) == ["one", "two"]
        await redis.publish("two", b"after")
        await eventually(lambda: heard[-1] == ("two", b"after"))
        await subscriber.unsubscribe("one")
        await redis.publish("one", b"unheard")
        await redis.publish("two", b"last")
        await eventually(lambda: heard[-1] == ("two", b"last"))
        assert ("one", b"unheard") not in heard


async def test_a_connection_lost_again_before_it_was_confirmed_still_tells_of_the_gap(embedded: EmbeddedRedis) -> None:
    address = parse_url(embedded.url).nodes[0]
    opened: list[Wire] = []
    resets: list[str] = []

    async def open_one() -> Wire:
        wire = await open_wire(address, 5.0)
        opened.append(wire)
        if len(opened) in (2, 3):  # gone before SUBSCRIBE is even written
            asyncio.get_running_loop().call_soon(wire.abort, "cut")
        return wire

    async with Tasks() as tasks:
        pubsub = PubSub(open_one, lambda name, data: None, resets.extend, 5.0, tasks)
        await pubsub.open()
        await pubsub.subscribe("one", "two")
        opened[0].abort("cut")
        await eventually(lambda: len(resets) == 2)
        assert sorted(resets) == ["one", "two"]
        assert len(opened) == 4
        pubsub.close()


async def test_a_cancelled_caller_does_not_shift_the_replies_of_others(client: Redis) -> None:
    async def soon_gone() -> None:
        await client.call("ECHO", "gone")

    task = asyncio.get_running_loop().create_task(soon_gone())
    await asyncio.sleep(0)
    other = asyncio.get_running_loop().create_task(client.pipeline([("ECHO", "a"), ("ECHO", "b")]))
    await asyncio.sleep(0)
    task.cancel()
    assert await other == [b"a", b"b"]


async def test_what_is_asked_is_answered_in_line_with_what_is_sent(client: Redis) -> None:
    told: list[object] = []

    def tell(reply: object, error: Exception | None) -> None:
        told.append(reply if error is None else str(error))

    before = client.call("SET", "n", "1", "EX", "60")
    first = asyncio.ensure_future(before)
    await asyncio.sleep(0)
    assert client.ask(("GET", "n"), tell)
    assert client.ask(("LPUSH", "n", "x"), tell)
    second = asyncio.ensure_future(client.call("SET", "n", "2", "EX", "60"))
    await asyncio.gather(first, second)
    assert told[0] == b"1"
    assert str(told[1]).startswith("WRONGTYPE")
    assert client.ask(("GET", "n"), tell)
    assert await client.call("GET", "n") == b"2"
    assert told[2:] == [b"2"]


async def test_who_asked_is_told_that_the_connection_was_lost_and_harms_nobody_when_that_surprises_him(
    embedded: EmbeddedRedis,
) -> None:
    wire = await open_wire(parse_url(embedded.url).nodes[0], 5.0)
    told: list[str] = []

    def tell(reply: object, error: Exception | None) -> None:
        assert isinstance(error, ShowgroundError)
        told.append(error.code)
        raise ValueError("not expected")

    assert wire.ask(("BLPOP", "nothing", 0), tell)
    await asyncio.sleep(0)  # it is under way, and the next is not
    assert wire.ask(("GET", "k"), tell)
    wire.abort("cut")
    assert told == ["store_unavailable"] * 2
    assert not wire.ask(("GET", "k"), tell)
    await let_transports_close()


async def test_an_address_where_nobody_listens_is_named(tmp_path: Path) -> None:
    with pytest.raises(ShowgroundError, match=r"nowhere\.sock") as caught:
        async with open_redis(f"unix://{tmp_path}/nowhere.sock", tmp_path, deadline_s=1):
            pass
    assert caught.value.code == "store_unavailable"


async def test_a_line_that_died_without_a_word_is_noticed_and_left(embedded: EmbeddedRedis) -> None:
    resets: list[str] = []
    async with Proxy(embedded.server.socket) as proxy:
        url = f"redis://:{embedded.server.password}@127.0.0.1:{proxy.port}"
        async with (
            open_redis(url, Path(), deadline_s=0.3) as redis,
            redis.subscriber(lambda name, data: None, resets.extend) as subscriber,
        ):
            await subscriber.subscribe("news")
            proxy.delay_s = 3600.0  # what is under way arrives no more, and nobody is told
            for _ in range(4):  # long enough for the subscriber to ask for a sign of life, too
                with pytest.raises(ShowgroundError) as caught:
                    await redis.call("ECHO", "lost")
                assert caught.value.code == "store_unavailable"
            proxy.delay_s = 0.0  # on new lines: the old ones stay dead
            await eventually(lambda: set(resets) == {"news"})
            await eventually(lambda: answers(redis))


async def test_transactions_beyond_the_pool_wait_and_are_then_refused(client: Redis) -> None:
    async with AsyncExitStack() as stack:
        for n in range(MAX_LENT):
            transaction = await stack.enter_async_context(client.transaction("k"))
            assert await transaction.call("WATCH", f"k{n}") == b"OK"
        with hurried(client, 0.3), pytest.raises(ShowgroundError) as caught:
            async with client.transaction("k"):
                pass
        assert caught.value.code == "overloaded"
        assert await client.call("ECHO", "shared") == b"shared", "who needs no connection of its own is not held up"
    async with client.transaction("k") as transaction:
        assert await transaction.call("GET", "k") is None


async def test_a_server_that_became_a_replica_is_left_once_everybody_was_told_that_nothing_was_done(
    embedded: EmbeddedRedis, client: Redis, caplog: pytest.LogCaptureFixture
) -> None:
    await client.call("REPLICAOF", "127.0.0.1", "1")
    refused = await asyncio.gather(*(client.call("SET", "k", n) for n in range(20)), return_exceptions=True)
    for error in refused:
        assert isinstance(error, ShowgroundError)
        assert error.code == "store_unavailable"
        assert "READONLY" in error.message
    await client.call("REPLICAOF", "NO", "ONE")
    assert await client.call("SET", "k", "v") == b"OK"
    assert [record.getMessage() for record in caplog.records if record.name == "asyncio"] == []
    assert sum("lost the connection" in record.getMessage() for record in caplog.records) == 1


async def test_a_server_whose_disk_is_full_refuses_writes_and_takes_them_again_when_there_is_room(
    embedded: EmbeddedRedis, client: Redis
) -> None:
    """It sees no difference between a full disk and a file that may not grow (`RLIMIT_FSIZE`)."""
    assert await client.call("SET", "kept", "v") == b"OK"
    (file,) = embedded.server.folder.glob("appendonlydir/*.incr.aof")
    room, most = resource.prlimit(pid(embedded), resource.RLIMIT_FSIZE)
    resource.prlimit(pid(embedded), resource.RLIMIT_FSIZE, (file.stat().st_size + 1, most))

    async def write() -> str:
        try:
            await client.call("SET", "k", "v")
        except ShowgroundError as error:
            return f"{error.code}: {error.message}"
        return "done"

    await eventually(lambda: _says(write, "store_unavailable: Redis cannot do it now: MISCONF"))
    assert await client.call("GET", "kept") == b"v"
    with pytest.raises(
        ShowgroundError, match="MISCONF"
    ) as caught:  # a host that starts just now does not blame its settings
        await open_wire(parse_url(embedded.url).nodes[0], 1.0)
    assert caught.value.code == "store_unavailable"
    resource.prlimit(pid(embedded), resource.RLIMIT_FSIZE, (room, most))
    await eventually(lambda: _says(write, "done"))


async def _says(write: Callable[[], Awaitable[str]], beginning: str) -> bool:
    return (await write()).startswith(beginning)
