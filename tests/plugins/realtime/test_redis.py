"""The Redis provider keeps the promises of the realtime capability, and keeps them when Redis goes and comes back."""

from __future__ import annotations

import asyncio
import json
import math
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import AbstractAsyncContextManager, AsyncExitStack
from pathlib import Path

import pytest

from showground.capabilities import Message, Position, Realtime
from showground.errors import ShowgroundError
from showground.keys import KeySpace
from showground.redis.api import Redis, Script
from showground.redis.deployment import open_redis as connect
from showground.redis.server import ServerProcess
from showground.testing.conformance.realtime import GAME, RealtimeConformance, RealtimeStore, Received
from showground.testing.redis import running_server
from showground.testing.services import services
from showground.testing.waiting import eventually
from showground_realtime.channels import open_redis
from showground_realtime.log import ChannelId
from showground_realtime.redis_log import RedisLog
from showground_realtime.settings import RealtimeSettings

OLDER = Script("""
local key, ms = KEYS[1], tonumber(ARGV[1])
local kind, left = redis.call('TYPE', key).ok, redis.call('PTTL', key)
if kind == 'zset' then
  for _, member in ipairs(redis.call('ZRANGE', key, 0, -1)) do redis.call('ZINCRBY', key, -ms, member) end
elseif kind == 'list' then
  for at, micros in ipairs(redis.call('LRANGE', key, 0, -1)) do
    redis.call('LSET', key, at - 1, string.format('%.0f', micros - ms * 1000))
  end
end
if left > 0 then redis.call('PEXPIRE', key, left - ms) end
""")
"""Makes what the provider keeps under one key so many milliseconds older: its expiry, and the times in it."""


class RedisStore:
    def __init__(self, redis: Redis, keys: KeySpace) -> None:
        self.redis = redis
        self.keys = keys

    def open(self, **options: object) -> AbstractAsyncContextManager[Realtime]:
        return open_redis(services(options, self.redis, keys=self.keys))

    async def advance(self, seconds: float) -> None:
        """Redis' own clock cannot be moved, so what is in it ages."""
        found = [key async for key in self.redis.scan(f"{self.keys.prefix}:*")]
        for key in found:
            await self.redis.run(OLDER, [key.decode()], [math.ceil(seconds * 1000)])


class TestRedis(RealtimeConformance):
    @pytest.fixture
    def store(self, redis: Redis, keys: KeySpace) -> RealtimeStore:
        return RedisStore(redis, keys)


class UnheardLog(RedisLog):
    """Appends as the provider does, but its publications reach nobody, as happens when a connection breaks."""

    def _key(self, channel: ChannelId, kind: str) -> str:
        return super()._key(channel, "unheard" if kind == "live" else kind)


async def test_a_lost_message_is_repaired_when_the_next_one_comes(redis: Redis, keys: KeySpace) -> None:
    unheard = UnheardLog(redis, keys, RealtimeSettings())
    async with open_redis(services({}, redis, keys=keys)) as realtime:
        got = Received()
        await realtime.subscribe(GAME, "events", got.deliver, on_gap=got.on_gap)
        await realtime.publish(GAME, "events", b"1")
        for data in (b"2", b"3"):
            await unheard.append(ChannelId(GAME, "events"), data)
        await realtime.publish(GAME, "events", b"4")
        await got.until_data([b"1", b"2", b"3", b"4"])
        assert got.gaps == 0


async def test_the_loss_of_the_last_message_of_a_burst_is_found(redis: Redis, keys: KeySpace) -> None:
    """No later message reveals it, so positions are compared from time to time."""
    async with open_redis(services({"check_s": 0.05}, redis, keys=keys)) as realtime:
        got = Received()
        await realtime.subscribe(GAME, "events", got.deliver, on_gap=got.on_gap)
        await UnheardLog(redis, keys, RealtimeSettings()).append(ChannelId(GAME, "events"), b"1")
        await got.until_data([b"1"])
        assert got.gaps == 0


async def test_a_loss_beyond_the_history_is_told_and_messages_go_on(redis: Redis, keys: KeySpace) -> None:
    options = {"history_messages": 2}
    unheard = UnheardLog(redis, keys, RealtimeSettings(history_messages=2))
    async with open_redis(services(options, redis, keys=keys)) as realtime:
        got = Received()
        subscription = await realtime.subscribe(GAME, "events", got.deliver, on_gap=got.on_gap)
        for n in range(5):
            last = await unheard.append(ChannelId(GAME, "events"), b"%d" % n)
        await realtime.publish(GAME, "events", b"reveals")
        await got.until(lambda: got.gaps == 1)
        assert subscription.position.offset == last.offset + 1
        await realtime.publish(GAME, "events", b"next")
        await got.until_data([b"next"])


async def test_a_cut_subscription_misses_nothing(redis: Redis, keys: KeySpace) -> None:
    async with open_redis(services({}, redis, keys=keys)) as realtime:
        got = Received()
        await realtime.subscribe(GAME, "events", got.deliver, on_gap=got.on_gap)
        for n in range(60):
            if n % 20 == 10:
                await redis.call("CLIENT", "KILL", "TYPE", "pubsub")
            await realtime.publish(GAME, "events", b"%d" % n)
        await got.until_data([b"%d" % n for n in range(60)])
        assert got.gaps == 0


async def test_the_last_subscriber_to_leave_ends_the_hosts_subscription(redis: Redis, keys: KeySpace) -> None:
    async with open_redis(services({}, redis, keys=keys)) as realtime:
        one = await realtime.subscribe(GAME, "events", lambda _: None)
        two = await realtime.subscribe(GAME, "events", lambda _: None)
        assert (await redis.call("PUBSUB", "NUMSUB", keys.of(GAME, "rt", "live", "events")))[1] == 1
        await one.close()
        await two.close()

        async def nobody() -> bool:
            return bool((await redis.call("PUBSUB", "NUMSUB", keys.of(GAME, "rt", "live", "events")))[1] == 0)

        await eventually(nobody)
        got = Received()
        await realtime.subscribe(GAME, "events", got.deliver)
        await realtime.publish(GAME, "events", b"1")
        await got.until_data([b"1"])


@pytest.fixture
def own_server(tmp_path: Path) -> Iterator[ServerProcess]:
    with running_server(tmp_path / "redis", fsync="always") as server:
        yield server


async def restart(server: ServerProcess) -> None:
    await asyncio.to_thread(server.start)
    await asyncio.to_thread(server.wait_ready)


class Published:
    """What was acknowledged, in order, and what was repeated because its answer was lost: it may have come more than once."""

    def __init__(self) -> None:
        self.acknowledged: list[tuple[Position, bytes]] = []
        self.repeated: set[bytes] = set()

    async def until_taken(self, realtime: Realtime, data: bytes) -> Position:
        async def is_taken() -> bool:
            try:
                self.acknowledged.append((await realtime.publish(GAME, "events", data), data))
            except ShowgroundError as error:
                if error.code != "store_unavailable":
                    raise
                self.repeated.add(data)
                return False
            return True

        await eventually(is_taken)
        return self.acknowledged[-1][0]

    def compare(self, messages: Sequence[Message]) -> None:
        """Fail unless *messages* are those acknowledged, each once and in order, and at most repeats besides."""
        found = [(m.position, m.data) for m in messages]
        assert [one for one in found if one in self.acknowledged] == self.acknowledged
        assert {data for position, data in found if (position, data) not in self.acknowledged} <= self.repeated
        offsets = [position.offset for position, _ in found]
        assert offsets == sorted(set(offsets))


async def test_after_a_killed_redis_every_acknowledged_message_arrives_once_in_order(
    own_server: ServerProcess, tmp_path: Path
) -> None:
    """It has written its append-only file before each answer, so nothing acknowledged is lost."""
    async with (
        connect(own_server.url, tmp_path) as redis,
        connect(own_server.url, tmp_path) as other,
        open_redis(services({}, redis)) as publisher,
        open_redis(services({}, other)) as hearer,
    ):
        got, published = Received(), Published()
        await hearer.subscribe(GAME, "events", got.deliver, on_gap=got.on_gap)
        positions = [await published.until_taken(publisher, b"%d" % n) for n in range(20)]
        own_server.kill()
        publishing = asyncio.ensure_future(published.until_taken(publisher, b"20"))
        await restart(own_server)
        positions.append(await publishing)
        positions += [await published.until_taken(publisher, b"%d" % n) for n in range(21, 40)]
        await got.until(lambda: bool(got.gaps) or got.messages[-1:] == [Message(positions[-1], b"39")])
        assert got.gaps == 0
        published.compare(got.messages)
        assert len({p.epoch for p in positions}) == 1
        assert positions[20].offset > positions[19].offset + 1000, (
            "a new server leaps over what the old one may have lost"
        )


async def test_who_saw_what_redis_lost_is_never_recovered_wrongly(own_server: ServerProcess, tmp_path: Path) -> None:
    """A power cut takes the last second. The offsets of what it took are not given out again."""
    folder, kept = own_server.folder / "appendonlydir", tmp_path / "kept"
    async with connect(own_server.url, tmp_path) as redis, open_redis(services({}, redis)) as realtime:
        survived = [await realtime.publish(GAME, "events", b'"a%d"' % n) for n in (1, 2)][-1]
        shutil.copytree(folder, kept)
        got = Received()
        await realtime.subscribe(GAME, "events", got.deliver, on_gap=got.on_gap)
        lost = [await realtime.publish(GAME, "events", b'"b%d"' % n) for n in (3, 4)][-1]
        await got.until_data([b'"b3"', b'"b4"'])
        own_server.kill()
        shutil.rmtree(folder)
        shutil.copytree(kept, folder)
        await restart(own_server)
        published = Published()
        for n in (3, 4, 5):
            await published.until_taken(realtime, b'"c%d"' % n)
        await got.until(lambda: got.gaps == 1)
        assert not (await realtime.history(GAME, "events", lost))[1].recovered
        messages, stands = await realtime.history(GAME, "events", survived)
        assert stands.recovered
        published.compare(messages)


async def test_the_quota_is_exact_over_three_processes_and_all_hear_the_same(
    redis: Redis, redis_url: str, keys: KeySpace
) -> None:
    async with AsyncExitStack() as stack:
        hosts = [await stack.enter_async_context(open_redis(services({}, redis, keys=keys))) for _ in range(2)]
        heard = [Received(), Received()]
        for host, got in zip(hosts, heard, strict=True):
            await host.subscribe(GAME, "events", got.deliver, on_gap=got.on_gap)
        processes = [
            await asyncio.create_subprocess_exec(
                sys.executable,
                str(Path(__file__).with_name("publisher.py")),
                *(redis_url, keys.prefix, str(number)),
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
            )
            for number in range(3)
        ]
        for process in processes:
            assert process.stdout is not None
            assert await process.stdout.readline() == b"ready\n"
        began = time.monotonic()
        answers = await asyncio.gather(*(process.communicate(b"go\n") for process in processes))
        windows = 1 + int(time.monotonic() - began)
        accepted = sorted((offset, data) for out, _ in answers for offset, data in json.loads(out))
        assert 100 <= len(accepted) <= 100 * windows
        if windows == 1:
            assert len(accepted) == 100
        assert [offset for offset, _ in accepted] == list(range(1, len(accepted) + 1))
        for got in heard:
            await got.until_data([data.encode() for _, data in accepted])
            assert got.gaps == 0


async def test_a_host_that_was_told_to_keep_less_still_recovers_all(redis: Redis, keys: KeySpace) -> None:
    async with (
        open_redis(services({}, redis, keys=keys)) as publisher,
        open_redis(services({"history_messages": 3}, redis, keys=keys)) as hearer,
    ):
        origin = (await hearer.subscribe(GAME, "events", lambda _: None)).start.position
        for n in range(10):
            await publisher.publish(GAME, "events", b"%d" % n)
        got = Received()
        resumed = await hearer.subscribe(GAME, "events", got.deliver, origin)
        assert resumed.start.recovered
        assert got.data == [b"%d" % n for n in range(10)]
