"""A cluster that changes under load: slots move, primaries die."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterator, Sequence
from pathlib import Path

import pytest

from showground.errors import ShowgroundError
from showground.keys import KeySpace, installation_id
from showground.redis.api import CommandRefused, Redis, Script
from showground.redis.deployment import open_redis
from showground.redis.routing import command_slot
from showground.redis.slots import key_slot, pattern_slot
from showground.testing.cluster import ClusterNode, RunningCluster
from showground.testing.waiting import eventually

HERE, THERE = installation_id("app", "here"), installation_id("app", "there")
APPEND = Script("redis.call(ARGV[2], KEYS[2], ARGV[1]) return redis.call('RPUSH', KEYS[1], ARGV[1])")


@pytest.fixture
def redis_kind() -> str:
    return "cluster"


@pytest.fixture
def shaken(redis_cluster: RunningCluster) -> Iterator[RunningCluster]:
    """The cluster, put in order again afterwards."""
    yield redis_cluster
    redis_cluster.restore()


@pytest.fixture
async def hasty(redis_cluster: RunningCluster) -> AsyncIterator[Redis]:
    """A client whose calls wait 1 s only."""
    async with open_redis(redis_cluster.url, Path(), deadline_s=1.0) as client:
        yield client


def begin_move(cluster: RunningCluster, slot: int) -> tuple[ClusterNode, ClusterNode]:
    source = cluster.owner(slot)
    target = next(node for node in cluster.primaries() if node is not source)
    target.do("CLUSTER", "SETSLOT", slot, "IMPORTING", source.id)
    source.do("CLUSTER", "SETSLOT", slot, "MIGRATING", target.id)
    return source, target


def move_keys(cluster: RunningCluster, slot: int, source: ClusterNode, target: ClusterNode, count: int = 100) -> None:
    names = source.do("CLUSTER", "GETKEYSINSLOT", slot, count)
    if names:
        source.do("MIGRATE", "127.0.0.1", target.port, "", 0, 5000, "AUTH", cluster.password, "KEYS", *names)


def end_move(slot: int, source: ClusterNode, target: ClusterNode) -> None:
    target.do("CLUSTER", "SETSLOT", slot, "NODE", target.id)
    source.do("CLUSTER", "SETSLOT", slot, "NODE", target.id)


def test_a_hash_tag_decides_the_slot() -> None:
    assert key_slot("123456789") == 12739  # the check value of the cluster specification
    assert key_slot("sg:{app:town}:kv:a") == key_slot("{app:town}") == key_slot(b"app:town")
    assert key_slot("{}x") != key_slot("{}y"), "an empty tag is none"
    assert pattern_slot("sg:{app:town}:*") == key_slot("{app:town}")
    assert [pattern_slot(p) for p in ("sg:*", "s*:{a}:x", "sg:{a*}:x", "sg:{a")] == [None] * 4


def test_the_key_of_a_command_is_found_wherever_it_stands() -> None:
    slot = key_slot("k")
    for command in (
        ("GET", "k"), ("eval", "return 1", 1, "k"), (b"EVALSHA", "0", b"2", b"k", b"x"), ("MEMORY", "USAGE", "k"),
        ("XREAD", "COUNT", 1, "STREAMS", "k", "0"), ("SINTERCARD", 2, "k", "k"), ("BITOP", "AND", "k", "x"),
        ("SCAN", 0, "MATCH", "x{k}*"), ("SPUBLISH", "k", ""),
    ):  # fmt: skip
        assert command_slot(command) == slot, command
    assert command_slot(("EVAL", "return 1", 0)) is command_slot(("PING",)) is None
    with pytest.raises(ValueError, match="hash tag"):
        command_slot(("SCAN", 0, "MATCH", "*"))


async def test_a_pipeline_over_all_nodes_keeps_the_order_of_its_replies(redis: Redis, keys: KeySpace) -> None:
    names = [keys.host(str(n)) for n in range(300)]
    commands: list[Sequence[str | int]] = []
    for n, name in enumerate(names):
        commands += [("SET", name, n, "EX", 60), ("LPUSH", name, "x"), ("GET", name)]
    replies = await redis.pipeline(commands)
    assert replies[::3] == [b"OK"] * 300
    assert all(isinstance(reply, CommandRefused) for reply in replies[1::3])
    assert replies[2::3] == [str(n).encode() for n in range(300)]


async def test_a_slot_moves_under_load_without_a_lost_or_doubled_write(
    redis: Redis, keys: KeySpace, shaken: RunningCluster
) -> None:
    slot = key_slot(keys.of(HERE, "x"))
    lists = [keys.of(HERE, "list", str(n)) for n in range(8)]
    live = keys.of(HERE, "live")
    heard: set[bytes] = set()
    resets: list[str] = []
    written = [0] * len(lists)
    stop = asyncio.Event()

    async def write(at: int) -> None:
        while not stop.is_set():
            n = written[at]
            if n % 2:
                length = await redis.run(APPEND, [lists[at], live], [f"{at}:{n}", redis.publish_command])
            else:
                length, shown = await redis.pipeline([("RPUSH", lists[at], f"{at}:{n}"), ("LINDEX", lists[at], -1)])
                assert shown == f"{at}:{n}".encode()
            assert length == n + 1, "each append is done once, and read after it was written"
            written[at] += 1

    async with (
        redis.subscriber(lambda name, data: heard.add(data), resets.extend) as subscriber,
        asyncio.TaskGroup() as g,
    ):
        await subscriber.subscribe(live)
        for at in range(len(lists)):
            g.create_task(write(at))
        for _ in range(2):  # there and on to another
            before = list(written)
            source, target = await asyncio.to_thread(begin_move, shaken, slot)
            await eventually(lambda b=before: all(now > then + 5 for now, then in zip(written, b, strict=True)))  # type: ignore[misc]
            while await asyncio.to_thread(source.do, "CLUSTER", "COUNTKEYSINSLOT", slot):
                await asyncio.to_thread(move_keys, shaken, slot, source, target, 3)
            await asyncio.to_thread(end_move, slot, source, target)
            before = list(written)
            await eventually(lambda b=before: all(now > then + 5 for now, then in zip(written, b, strict=True)))  # type: ignore[misc]
        await eventually(lambda: live in resets)
        stop.set()
    for at, name in enumerate(lists):
        found = await redis.call("LRANGE", name, 0, -1)
        assert found == [f"{at}:{n}".encode() for n in range(written[at])]
    assert {key.decode() async for key in redis.scan(keys.of(HERE, "list", "*"))} == set(lists)
    await redis.call("UNLINK", *lists)


async def test_a_scan_finds_the_keys_of_a_slot_that_is_between_two_nodes(
    hasty: Redis, keys: KeySpace, shaken: RunningCluster
) -> None:
    names = {keys.of(THERE, str(n)) for n in range(20)}
    await hasty.pipeline([("SET", name, 1, "EX", 60) for name in names])
    slot = key_slot(next(iter(names)))
    source, target = begin_move(shaken, slot)
    move_keys(shaken, slot, source, target, 10)
    found = {key.decode() async for key in hasty.scan(keys.of(THERE, "*"))}
    assert found == names
    async with hasty.transaction(next(iter(names))) as transaction:
        with pytest.raises(ShowgroundError) as caught:
            await transaction.call("WATCH", *names)
    assert caught.value.code == "store_unavailable", "keys that are on two nodes cannot be watched together"
    move_keys(shaken, slot, source, target)
    end_move(slot, source, target)
    name = next(iter(names))
    async with hasty.transaction(name) as transaction:
        await transaction.call("MULTI")
        await transaction.call("SET", name, "moved", "EX", 60)
        assert await transaction.call("EXEC") == [b"OK"]


async def test_when_a_primary_is_killed_its_replica_takes_over(
    hasty: Redis, keys: KeySpace, shaken: RunningCluster
) -> None:
    victim = shaken.primaries()[0]
    names = [keys.host("n", str(n)) for n in range(60)]
    theirs = next(name for name in names if shaken.owner(key_slot(name)) is victim)
    others = next(name for name in names if shaken.owner(key_slot(name)) is not victim)
    heard: list[tuple[str, bytes]] = []
    resets: list[str] = []
    loop = asyncio.get_running_loop()
    async with hasty.subscriber(lambda *message: heard.append(message), resets.extend) as subscriber:
        await subscriber.subscribe(theirs)
        await subscriber.subscribe(others)
        assert await hasty.call("SET", theirs, "kept", "EX", 60) == b"OK"
        victim.client.wait(1, 5000)
        victim.server.kill()
        started = loop.time()
        failures: list[str] = []

        async def is_back() -> bool:
            try:
                return bool(await hasty.call("GET", theirs) == b"kept")
            except ShowgroundError as error:
                failures.append(error.code)
                return False

        await eventually(is_back)
        assert loop.time() - started < 10
        assert set(failures) == {"store_unavailable"}, "the outage is told of, and ends"
        await eventually(lambda: resets == [theirs], 5)
        for name in (theirs, others):
            await hasty.publish(name, b"after")
        await eventually(lambda: len(heard) == 2)
        assert sorted(heard) == sorted([(theirs, b"after"), (others, b"after")])


async def test_calls_wait_out_a_failover_that_is_shorter_than_their_deadline(
    redis: Redis, keys: KeySpace, shaken: RunningCluster
) -> None:
    victim = shaken.primaries()[0]
    names = [keys.host("n", str(n)) for n in range(60)]
    mine = [name for name in names if shaken.owner(key_slot(name)) is victim]
    await redis.pipeline([("SET", name, 1, "EX", 60) for name in names])
    victim.client.wait(1, 5000)
    victim.server.kill()

    async def is_noticed() -> bool:
        try:
            await redis.call("GET", mine[0])
        except ShowgroundError:
            return True  # it was under way when the connection was lost
        return False

    await eventually(is_noticed)
    assert await redis.pipeline([("GET", name) for name in names]) == [b"1"] * 60
