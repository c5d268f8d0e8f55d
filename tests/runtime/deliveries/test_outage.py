"""Redis goes away and comes back."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from showground.clock import SystemClock
from showground.deliveries import DeliverySettings, Outcomes, RedisDeliveries, Runner, scripts
from showground.deliveries.shard import Shard
from showground.errors import ShowgroundError
from showground.keys import KeySpace, installation_id
from showground.model import Delivery
from showground.redis.api import Arg, Reply, Script
from showground.redis.deployment import open_redis
from showground.redis.server import ServerProcess
from showground.testing.waiting import eventually

if TYPE_CHECKING:
    from tests.runtime.deliveries.conftest import Bench, Make

APP = installation_id("app", "town")


async def test_nothing_accepted_is_lost_when_redis_is_killed_and_the_runner_goes_on(tmp_path: Path, make: Make) -> None:
    ran: list[str] = []
    gate = asyncio.Event()

    async def handle(delivery: Delivery, attempt: int) -> bytes:
        await gate.wait()
        ran.append(delivery.id)
        return b"null"

    server = ServerProcess(tmp_path, fsync="always")
    server.start()
    server.wait_ready(30)
    try:
        async with open_redis(server.url, Path(), deadline_s=1.0) as redis:
            settings = DeliverySettings(lease_s=2.0, concurrency=4)
            queue = RedisDeliveries(redis, KeySpace(), SystemClock(), settings)
            async with Runner(queue, handle, host_id="here") as runner:
                ids = [f"d{n}" for n in range(50)]
                await queue.enqueue([make(id) for id in ids])
                await eventually(lambda: runner.running() == 4)
                server.kill()
                gate.set()  # four end while there is nobody to tell
                await eventually(lambda: len(ran) == 4)
                with pytest.raises(ShowgroundError) as caught:
                    await queue.enqueue([make("lost")])
                assert caught.value.code == "store_unavailable"
                server.start()
                server.wait_ready(30)
                await eventually(lambda: len(set(ran)) == 50, 15)
                async with Outcomes(queue) as outcomes:
                    found = await outcomes.wait([(APP, id) for id in ids], 10)
                assert {outcome.status if outcome else None for outcome in found} == {"done"}
                assert ran == list(dict.fromkeys(ran)), "the acks were kept and handed in, so nothing ran twice"
    finally:
        server.close()


async def test_who_waits_asks_until_redis_answers_after_messages_may_have_been_missed(
    bench: Bench, make: Make, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """The connection that messages come on may be back before the one that commands go by."""
    away, refused, answered, run = False, 0, 0, Shard.run

    async def now_and_then(shard: Shard, script: Script, *args: Arg) -> Reply:
        nonlocal refused, answered
        if script is scripts.WANT and away:
            refused += 1
            raise ShowgroundError("store_unavailable", "the connection is down", "redis")
        reply = await run(shard, script, *args)
        answered += script is scripts.WANT
        return reply

    monkeypatch.setattr(Shard, "run", now_and_then)
    queue = bench.queue()
    await queue.enqueue([make("a")])
    async with Outcomes(queue) as outcomes:
        waiting = asyncio.ensure_future(outcomes.wait([(APP, "a")], 20))
        await eventually(lambda: answered)
        away = True
        await bench.redis.call("CLIENT", "KILL", "TYPE", "pubsub")
        await eventually(lambda: refused)
        away, answered = False, 0
        await eventually(lambda: answered)
        async with bench.runner(queue):
            [outcome] = await waiting
    assert outcome is not None
    assert outcome.status == "done"
    assert not [record for record in caplog.records if record.levelname == "ERROR"]
