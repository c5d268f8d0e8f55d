"""A cluster that changes under load: slots move, primaries die."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import asynccontextmanager, suppress
from pathlib import Path

import pytest
from redis.exceptions import ResponseError

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
    assert pattern_slot(r"sg:{app:\*}:kv:*") == key_slot("sg:{app:*}:kv:x")
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


class Load:
    """Appends to lists of one slot, half of them by scripts that publish too; each append is checked by its reply."""

    def __init__(self, redis: Redis, keys: KeySpace) -> None:
        self.redis = redis
        self.slot = key_slot(keys.of(HERE, ""))
        self.lists = [keys.of(HERE, "list", str(n)) for n in range(8)]
        self.live = keys.of(HERE, "live")
        self.written = [0] * len(self.lists)
        self.resets: list[str] = []

    @asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        """Write until the context ends; then everything written must be there, once and in order."""
        stop = asyncio.Event()
        heard: list[bytes] = []
        async with self.redis.subscriber(lambda name, data: heard.append(data), self.resets.extend) as subscriber:
            await subscriber.subscribe(self.live)
            async with asyncio.TaskGroup() as group:
                for at in range(len(self.lists)):
                    group.create_task(self._write(at, stop))
                yield
                stop.set()
        assert len(heard) == len(set(heard)), "no message came twice"
        for at, name in enumerate(self.lists):
            found = await self.redis.call("LRANGE", name, 0, -1)
            assert found == [f"{at}:{n}".encode() for n in range(self.written[at])]
        assert {key.decode() async for key in self.redis.scan(self.lists[0][:-1] + "*")} == set(self.lists)
        await self.redis.call("UNLINK", *self.lists)

    async def _write(self, at: int, stop: asyncio.Event) -> None:
        while not stop.is_set():
            text = f"{at}:{self.written[at]}"
            if at % 2:
                command = self.redis.publish_command
                length = await self.redis.run(APPEND, [self.lists[at], self.live], [text, command])
            else:
                length, shown = await self.redis.pipeline(
                    [("RPUSH", self.lists[at], text), ("LINDEX", self.lists[at], -1)]
                )
                assert shown == text.encode()
            assert length == self.written[at] + 1, "each append is done once"
            self.written[at] += 1

    async def goes_on(self, scripts: bool = True) -> None:
        before = list(self.written)
        step = 1 if scripts else 2
        await eventually(lambda: all(self.written[at] > before[at] + 5 for at in range(0, len(before), step)))


async def test_a_slot_moves_key_by_key_under_load_without_a_lost_or_doubled_write(
    redis: Redis, keys: KeySpace, shaken: RunningCluster
) -> None:
    load = Load(redis, keys)
    async with load.running():
        for _ in range(2):  # there and on to another
            await load.goes_on()
            source, target = await asyncio.to_thread(begin_move, shaken, load.slot)
            await load.goes_on(scripts=False)  # scripts wait until their keys are together again
            while await asyncio.to_thread(source.do, "CLUSTER", "COUNTKEYSINSLOT", load.slot):
                await asyncio.to_thread(move_keys, shaken, load.slot, source, target, 3)
            await load.goes_on(scripts=False)
            await asyncio.to_thread(end_move, load.slot, source, target)
            await load.goes_on()
        await eventually(lambda: load.live in load.resets)


async def test_a_script_is_not_run_where_only_some_of_its_keys_are(
    redis: Redis, hasty: Redis, keys: KeySpace, shaken: RunningCluster
) -> None:
    """It derives keys from one that does not exist, as those of the deliveries do."""
    derived = Script("return redis.call('INCR', KEYS[1] .. ':n')")
    base = keys.of(HERE, "base")
    assert await redis.run(derived, [base]) == 1
    slot = key_slot(base)
    source, target = begin_move(shaken, slot)
    with pytest.raises(ShowgroundError) as caught:
        await hasty.run(derived, [base])
    assert caught.value.code == "store_unavailable"
    waiting = asyncio.get_running_loop().create_task(redis.run(derived, [base]))
    move_keys(shaken, slot, source, target)
    end_move(slot, source, target)
    assert await waiting == 2
    await redis.call("UNLINK", base + ":n")


async def test_a_slot_moves_at_once_under_load_and_nothing_waits_for_long(
    redis: Redis, keys: KeySpace, shaken: RunningCluster
) -> None:
    """Atomic slot migration, as Valkey 9 has it (https://valkey.io/topics/atomic-slot-migration/)."""
    source = shaken.owner(Load(redis, keys).slot)
    target = next(node for node in shaken.primaries() if node is not source)
    load = Load(redis, keys)
    try:
        source.do("CLUSTER", "GETSLOTMIGRATIONS")
    except ResponseError:
        pytest.skip("this server moves slots key by key only")
    async with load.running():
        await load.goes_on()
        await asyncio.to_thread(
            source.do, "CLUSTER", "MIGRATESLOTS", "SLOTSRANGE", load.slot, load.slot, "NODE", target.id
        )
        await eventually(lambda: asyncio.to_thread(lambda: shaken.owner(load.slot) is target))
        await load.goes_on()
        await eventually(lambda: load.live in load.resets)


async def test_a_scan_finds_the_keys_of_a_slot_that_is_between_two_nodes(
    redis: Redis, hasty: Redis, keys: KeySpace, shaken: RunningCluster
) -> None:
    names = {keys.of(THERE, str(n)) for n in range(20)}
    await redis.pipeline([("SET", name, 1, "EX", 60) for name in names])
    slot = key_slot(next(iter(names)))
    source, target = begin_move(shaken, slot)
    move_keys(shaken, slot, source, target, 10)
    found = {key.decode() async for key in redis.scan(keys.of(THERE, "*"))}
    assert found == names
    async with hasty.transaction(next(iter(names))) as transaction:
        with pytest.raises(ShowgroundError) as caught:
            await transaction.call("WATCH", *names)
    assert caught.value.code == "store_unavailable", "keys that are on two nodes cannot be watched together"
    move_keys(shaken, slot, source, target)
    end_move(slot, source, target)
    name = next(iter(names))
    async with redis.transaction(name) as transaction:
        await transaction.call("MULTI")
        await transaction.call("SET", name, "moved", "EX", 60)
        assert await transaction.call("EXEC") == [b"OK"]


async def test_when_a_primary_is_killed_its_replica_takes_over(
    redis: Redis, hasty: Redis, keys: KeySpace, shaken: RunningCluster
) -> None:
    victim = shaken.primaries()[0]
    names = [keys.host("n", str(n)) for n in range(60)]
    theirs = next(name for name in names if shaken.owner(key_slot(name)) is victim)
    others = next(name for name in names if shaken.owner(key_slot(name)) is not victim)
    heard: list[tuple[str, bytes]] = []
    resets: list[str] = []
    loop = asyncio.get_running_loop()
    async with redis.subscriber(lambda *message: heard.append(message), resets.extend) as subscriber:
        await subscriber.subscribe(theirs)
        await subscriber.subscribe(others)
        assert await redis.call("SET", theirs, "kept", "EX", 60) == b"OK"
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
        await eventually(lambda: theirs in resets)
        for name in (theirs, others):
            await redis.publish(name, b"after")
        await eventually(lambda: len(heard) == 2)
        assert sorted(heard) == sorted([(theirs, b"after"), (others, b"after")])


async def test_calls_wait_out_a_failover_that_is_shorter_than_their_deadline(
    keys: KeySpace, shaken: RunningCluster
) -> None:
    victim = shaken.primaries()[0]
    names = [keys.host("n", str(n)) for n in range(60)]
    mine = [name for name in names if shaken.owner(key_slot(name)) is victim]
    async with open_redis(shaken.url, Path(), deadline_s=30.0) as patient:
        await patient.pipeline([("SET", name, 1, "EX", 60) for name in names])
        victim.client.wait(1, 5000)
        victim.server.kill()
        with suppress(ShowgroundError):  # it was under way when the connection was lost
            await patient.call("GET", mine[0])
        assert await patient.pipeline([("GET", name) for name in names]) == [b"1"] * 60
