"""A primary that dies, or is cut off, under three Sentinels."""

from __future__ import annotations

import asyncio
import os
import signal
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
import redis

from showground.errors import ShowgroundError
from showground.redis.api import CommandRefused, Redis
from showground.redis.deployment import open_redis
from showground.testing.sentinels import DOWN_MS, SERVICE, LedServers, led_servers
from showground.testing.waiting import eventually

LONGEST_S = 10.0
"""From the death of a primary to the first call that succeeds: 0.5 s to notice, the election, and our pauses."""
PATIENCE_MS = 60_000
"""A primary that is silent for so long counts as gone where a test lets none die: this machine may stand still itself."""


@pytest.fixture(scope="module")
def servers(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LedServers]:
    with led_servers(tmp_path_factory.mktemp("sentinel")) as servers:
        yield servers


@pytest.fixture
def led(servers: LedServers) -> Iterator[LedServers]:
    noticed_within(servers, PATIENCE_MS)
    yield servers
    for server in servers.servers:
        if server.pid is not None and server.alive():
            os.kill(server.pid, signal.SIGCONT)
    servers.restore()


def noticed_within(led: LedServers, ms: int) -> None:
    """Have the Sentinels give a primary up that was silent for so long."""
    for port in led.sentinel_ports:
        with redis.Redis(port=port, password=led.sentinel_password) as sentinel:
            sentinel.execute_command("SENTINEL", "SET", SERVICE, "down-after-milliseconds", ms)


@contextmanager
def staying(server: redis.Redis) -> Iterator[None]:
    """Meanwhile *server* follows or leads as it does now, whatever the Sentinels tell it."""
    server.execute_command("ACL", "SETUSER", "default", "-slaveof", "-replicaof")  # type: ignore[no-untyped-call]
    try:
        yield
    finally:
        server.execute_command("ACL", "SETUSER", "default", "+slaveof", "+replicaof")  # type: ignore[no-untyped-call]


@pytest.fixture
async def client(led: LedServers) -> AsyncIterator[Redis]:
    async with open_redis(led.url, Path()) as client:
        yield client


async def until_it_works(client: Redis, *command: str) -> list[str]:
    """Repeat *command* until it succeeds; returns the codes of the errors until then."""
    loop = asyncio.get_running_loop()
    started = loop.time()
    codes: list[str] = []

    async def works() -> bool:
        try:
            await client.call(*command)
        except ShowgroundError as error:
            codes.append(error.code)
            return False
        return True

    await eventually(works, LONGEST_S)
    assert loop.time() - started < LONGEST_S
    return codes


async def test_a_killed_primary_costs_a_bounded_time_and_nothing_that_was_replicated(
    led: LedServers, client: Redis
) -> None:
    heard: list[bytes] = []
    resets: list[str] = []
    await client.call("DEL", "log")
    async with client.subscriber(lambda name, data: heard.append(data), resets.extend) as subscriber:
        await subscriber.subscribe("news")
        for n in range(150):
            await client.call("RPUSH", "log", n)

        async def is_replicated() -> bool:
            return bool(await client.call("WAIT", 1, 500) == 1)

        await eventually(is_replicated)
        noticed_within(led, DOWN_MS)
        led.servers[led.leader()].kill()
        assert set(await until_it_works(client, "PING")) <= {"store_unavailable"}
        assert await client.call("LRANGE", "log", 0, -1) == [b"%d" % n for n in range(150)]
        await eventually(lambda: set(resets) == {"news"})

        async def heard_after() -> bool:
            try:
                await client.publish("news", b"after")
            except ShowgroundError:
                return False  # a Sentinel may tell of the new primary only once we are there: one more reset
            return b"after" in heard

        await eventually(heard_after)
    async with client.transaction("log") as transaction:
        await transaction.call("MULTI")
        await transaction.call("DEL", "log")
        assert await transaction.call("EXEC") == [1]


async def test_nobody_stays_with_a_primary_that_hangs(led: LedServers, client: Redis) -> None:
    resets: list[str] = []
    async with client.subscriber(lambda name, data: None, resets.extend) as subscriber:
        await subscriber.subscribe("news")
        pid = led.servers[led.leader()].pid
        assert pid is not None
        noticed_within(led, DOWN_MS)
        os.kill(pid, signal.SIGSTOP)
        assert await until_it_works(client, "SET", "k", "v", "EX", "60")
        await eventually(lambda: set(resets) == {"news"})
    os.kill(pid, signal.SIGCONT)
    assert await client.call("GET", "k") == b"v"


async def test_a_planned_handover_is_followed_before_the_old_primary_is_demoted(led: LedServers, client: Redis) -> None:
    """Sentinel demotes it only seconds later; what it acknowledges until then is lost. Here it never is demoted."""
    with staying(led.clients[led.leader()]):
        await asyncio.to_thread(led.hand_over)
        after = led.clients[led.leader()]

        async def follows() -> bool:
            await until_it_works(client, "SET", "k", "w", "EX", "60")
            return bool(after.get("k") == b"w")

        await eventually(follows)


SAFE_DEADLINE_S = 5.0


@pytest.fixture
async def safe(led: LedServers) -> AsyncIterator[Redis]:
    """A client whose writes wait for the replica, half of the deadline at most."""
    async with open_redis(led.url + "&replicas=1", Path(), deadline_s=SAFE_DEADLINE_S) as client:
        yield client


async def test_a_write_that_its_replica_lacks_is_not_acknowledged(led: LedServers, safe: Redis) -> None:
    assert await safe.pipeline([("SET", "k", "v", "EX", "60"), ("GET", "k")]) == [b"OK", b"v"]
    follower = led.servers[1 - led.leader()].pid
    assert follower is not None
    os.kill(follower, signal.SIGSTOP)
    try:
        reading, writing = safe.call("GET", "k"), safe.call("SET", "k", "w", "EX", "60")
        with pytest.raises(ShowgroundError, match="0 replicas") as caught:
            await writing
        assert caught.value.code == "store_unavailable"
        assert await reading in (b"v", b"w")
        async with safe.transaction("k") as transaction:
            await transaction.call("WATCH", "k")
            await transaction.call("MULTI")
            assert await transaction.call("SET", "k", "x", "EX", "60") == b"QUEUED"
            with pytest.raises(ShowgroundError, match="0 replicas"):
                await transaction.call("EXEC")
        with pytest.raises(CommandRefused, match="WRONGTYPE"):
            await safe.call("RPUSH", "k", "y")
    finally:
        os.kill(follower, signal.SIGCONT)
    await until_it_works(safe, "SET", "k", "z", "EX", "60")


async def test_a_server_that_lacks_replicas_refuses_at_once_and_goes_on_reading(led: LedServers, safe: Redis) -> None:
    """As `min-replicas-to-write` has it: only the first refusal costs the wait for a replica."""
    leader = led.leader()
    await safe.call("SET", "k", "v", "EX", "60")
    led.clients[leader].config_set("min-replicas-to-write", 1)
    led.clients[1 - leader].replicaof("127.0.0.1", 1)
    try:
        with staying(led.clients[1 - leader]):
            await eventually(lambda: led.clients[leader].info("replication")["connected_slaves"] == 0)
            took: list[float] = []
            for _ in range(6):
                start = time.monotonic()
                with pytest.raises(ShowgroundError, match="NOREPLICAS"):
                    await safe.call("SET", "k", "w", "EX", "60")
                assert await safe.call("GET", "k") == b"v"
                took.append(time.monotonic() - start)
            assert min(took[1:]) < SAFE_DEADLINE_S / 4, "each refusal waited for a replica"
    finally:
        led.clients[leader].config_set("min-replicas-to-write", 0)
        await asyncio.to_thread(led.restore)
    await until_it_works(safe, "SET", "k", "w", "EX", "60")
    assert await safe.call("SET", "k", "x", "EX", "60") == b"OK"


async def test_whatever_was_acknowledged_with_a_replica_survives_a_handover(led: LedServers, safe: Redis) -> None:
    """Sentinel promotes the replica while the old primary still takes writes: those that were not passed on are lost."""
    await safe.call("DEL", "log")
    acknowledged: set[bytes] = set()
    stop = asyncio.Event()

    async def write(who: int) -> None:
        n = 0
        while not stop.is_set():
            n += 1
            try:
                await safe.call("RPUSH", "log", f"{who}.{n}")
            except ShowgroundError:
                await asyncio.sleep(0.01)
            else:
                acknowledged.add(b"%d.%d" % (who, n))

    writers = [asyncio.create_task(write(who)) for who in range(8)]
    await eventually(lambda: len(acknowledged) > 500)
    await asyncio.to_thread(led.hand_over)
    await asyncio.to_thread(led.restore)
    count = len(acknowledged)
    await eventually(lambda: len(acknowledged) > count + 100)
    stop.set()
    await asyncio.gather(*writers)
    there = set(await safe.call("LRANGE", "log", 0, -1))
    assert acknowledged - there == set()
    await safe.call("DEL", "log")


async def test_a_service_that_no_sentinel_knows_is_named(led: LedServers) -> None:
    with pytest.raises(ShowgroundError, match="'other'") as caught:
        async with open_redis(led.url.replace("/main", "/other"), Path(), deadline_s=1.0):
            pass
    assert caught.value.code == "misconfigured"


async def test_sentinels_that_are_away_are_passed_over(led: LedServers) -> None:
    at = led.url.index("@") + 1
    async with open_redis(f"{led.url[:at]}127.0.0.1:1,{led.url[at:]}", Path(), deadline_s=2.0) as client:
        assert await client.call("PING") == b"PONG"
