"""Several hosts, real processes, killed and stopped at the worst moment."""

from __future__ import annotations

import asyncio
import signal
from typing import TYPE_CHECKING

from showground.deliveries import Outcomes
from showground.deliveries.records import encode_outcome
from showground.deliveries.shard import Ack
from showground.keys import installation_id
from showground.model import Delivery
from showground.testing.clock import ManualClock
from showground.testing.waiting import eventually

if TYPE_CHECKING:
    from tests.runtime.deliveries.conftest import Bench, Make

APP = installation_id("app", "town")


async def test_a_killed_host_loses_its_claim_and_another_one_runs_the_delivery(bench: Bench, make: Make) -> None:
    queue = bench.queue(lease_s=1.0)
    async with bench.process("first", lease_s=1.0) as first:
        await queue.enqueue([make("d", "Gated")])
        await first.says("start d 1")
        first.send(signal.SIGKILL)
        await first.ended()
        async with bench.runner(queue), Outcomes(queue) as outcomes:
            (outcome,) = await outcomes.wait([(APP, "d")], 10)
    assert outcome is not None
    assert (outcome.status, outcome.attempts) == ("done", 2)
    assert bench.ran == [("d", 2)]
    assert await queue.backlog(APP) == 0


async def test_a_host_stopped_past_its_lease_is_refused_and_changes_nothing(bench: Bench, make: Make) -> None:
    queue = bench.queue(lease_s=1.0)
    async with bench.process("slow", lease_s=1.0) as slow, Outcomes(queue) as outcomes:
        await queue.enqueue([make("d", "Gated", group="g")])
        await slow.says("start d 1")
        slow.send(signal.SIGSTOP)
        async with bench.runner(queue):
            (first,) = await outcomes.wait([(APP, "d")], 10)
            await bench.redis.call("SET", f"{bench.keys.prefix}:gate", "1", "PX", 20000)
            slow.send(signal.SIGCONT)
            await slow.says("fenced")
    (again,) = await queue.history(APP, "g")
    assert first is not None
    assert first.result == b'"ok"', "the result of the host that took over stands"
    assert again == first, "the late outcome left no trace in the history either"
    assert await queue.backlog(APP) == 0


async def test_an_outcome_with_an_old_token_is_refused_and_changes_nothing(
    bench: Bench, make: Make, clock: ManualClock
) -> None:
    """The same as above, one script after the other."""
    queue = bench.queue(clock, lease_s=30)
    shard = queue.shards.of(APP)
    await queue.enqueue([make("d", group="g")])
    (old,) = (await shard.turn([], 8, "first", queue.settings)).claims
    await clock.advance(29)
    assert (await shard.turn([], 8, "second", queue.settings)).claims == []
    await clock.advance(1)
    (new,) = (await shard.turn([], 8, "second", queue.settings)).claims
    late = Ack(old, "t", "g", b"late")
    assert (await shard.turn([late], 0, "first", queue.settings)).refused == [0]
    assert await queue.history(APP, "g") == []
    assert await queue.backlog(APP) == 1
    assert await shard.renew([old, new], queue.settings) == [0]
    assert int(new.token.split()[2]) > int(old.token.split()[2])
    outcome = encode_outcome("d", "done", 2, 0, 0)
    ack = Ack(new, "t", "g", outcome)
    assert (await shard.turn([ack], 0, "second", queue.settings)).refused == []
    assert await queue.backlog(APP) == 0
    assert (await shard.turn([ack], 0, "second", queue.settings)).refused == [0], "handed in again after an outage"


async def test_a_handler_that_runs_longer_than_the_lease_keeps_its_claim(
    bench: Bench, make: Make, clock: ManualClock
) -> None:
    queue, gate = bench.queue(clock, lease_s=60), asyncio.Event()
    shard = queue.shards.of(APP)

    async def handle(delivery: Delivery, attempt: int) -> bytes:
        await gate.wait()
        return b'"busy"'

    async def lease_ends_ms() -> int:
        return int(await bench.redis.call("ZSCORE", shard.key("leases"), shard.stored_key(APP, "d")))

    async def is_renewed() -> bool:
        return await lease_ends_ms() > before

    await queue.enqueue([make("d")])
    async with bench.runner(queue, handle), Outcomes(queue) as outcomes:
        await eventually(lambda: bench.ran == [("d", 1)])
        for _ in range(6):  # through three leases
            before = await lease_ends_ms()
            await clock.advance(30)
            await eventually(is_renewed)
            assert (await shard.turn([], 8, "other", queue.settings)).claims == []
        gate.set()
        (outcome,) = await outcomes.wait([(APP, "d")], 10)
    assert outcome is not None
    assert (outcome.result, outcome.attempts) == (b'"busy"', 1)
    assert bench.ran == [("d", 1)]


async def test_a_stopping_host_gives_back_what_does_not_end_in_time(bench: Bench, make: Make) -> None:
    queue = bench.queue(lease_s=30.0)
    async with bench.process("leaving") as leaving, Outcomes(queue) as outcomes:
        await queue.enqueue([make("d", "Gated")])
        await leaving.says("start d 1")
        leaving.send(signal.SIGTERM)
        assert await leaving.ended() == 0
        async with bench.runner(queue):
            (outcome,) = await outcomes.wait([(APP, "d")], 20)
    assert outcome is not None
    assert (outcome.status, outcome.attempts) == ("done", 1), "at once, not when the lease ends, and not counted"


async def test_many_hosts_run_every_delivery_once(bench: Bench, make: Make) -> None:
    queue = bench.queue()
    ids = [f"d{n}" for n in range(400)]
    runners = [bench.runner(bench.queue(), host=f"h{n}") for n in range(4)]
    for runner in runners:
        await runner.__aenter__()
    async with Outcomes(queue) as outcomes:
        await asyncio.gather(
            *(queue.enqueue([make(id, to=installation_id(f"app{n % 7}", "town"))]) for n, id in enumerate(ids))
        )
        found = await outcomes.wait([(installation_id(f"app{n % 7}", "town"), id) for n, id in enumerate(ids)], 20)
    for runner in runners:
        await runner.__aexit__(None, None, None)
    assert [outcome and outcome.status for outcome in found] == ["done"] * len(ids)
    assert sorted(bench.ran) == sorted((id, 1) for id in ids)
