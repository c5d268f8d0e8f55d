"""One installation's trouble is its own."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Sequence
from contextlib import AsyncExitStack
from functools import partial
from typing import TYPE_CHECKING

import pytest

from showground.clock import SystemClock
from showground.deliveries import Outcomes, RedisDeliveries, scripts
from showground.keys import InstallationId, installation_id
from showground.model import Delivery
from showground.redis.api import Arg, Reply, Script
from showground.testing.clock import ManualClock
from showground.testing.waiting import eventually

if TYPE_CHECKING:
    from tests.runtime.deliveries.conftest import Bench, Make


def on_one_shard(bench: Bench, n: int) -> list[InstallationId]:
    """Names of installations that could get in each other's way."""
    names = (installation_id(f"app{k}", "town") for k in range(1000))
    return [name for name in names if bench.keys.shard_of(name) == 0][:n]


async def test_a_stuck_installation_holds_only_its_own_slots(bench: Bench, make: Make) -> None:
    queue = bench.queue(concurrency=4, in_flight=64)
    names = on_one_shard(bench, 10)
    stuck, others = names[0], names[1:]
    async with bench.runner(queue, drain_s=0.1), Outcomes(queue) as outcomes:
        await queue.enqueue([make(f"s{n}", "Hangs", to=stuck) for n in range(500)])
        await eventually(lambda: len(bench.ran) == 4)
        keys = [(other, f"d{n}") for n in range(20) for other in others]
        await queue.enqueue([make(id, to=other) for other, id in keys])
        found = await outcomes.wait(keys, 10)
        assert {outcome.status if outcome else None for outcome in found} == {"done"}
        assert sum(id.startswith("s") for id, _ in bench.ran) == 4, "exactly its limit, all the time"


async def test_installations_take_turns_whatever_the_length_of_their_queues(bench: Bench, make: Make) -> None:
    queue = bench.queue(concurrency=1000, in_flight=16)
    names = on_one_shard(bench, 5)
    flood, others = names[0], names[1:]
    order: list[str] = []

    async def handle(delivery: Delivery, attempt: int) -> bytes:
        order.append(delivery.installation)
        await asyncio.sleep(0)
        return b"null"

    await queue.enqueue([make(f"f{n}", to=flood) for n in range(2000)])
    await queue.enqueue([make(f"d{n}", to=other) for other in others for n in range(50)])
    async with bench.runner(queue, handle):
        await eventually(lambda: len(order) >= 2200, 20)
    last = max(position for position, name in enumerate(order) if name != flood)
    # With five taking turns, 200 deliveries of the others are through after about 250 in all.
    assert last < 500, f"the others waited for {last - 200} deliveries of the flood"


def counted_turns(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> tuple[Counter[str], set[tuple[str, str]]]:
    """Turns by host from now on, and (host, shard) of those that asked for work."""
    turns: Counter[str] = Counter()
    looked: set[tuple[str, str]] = set()
    run = bench.redis.run

    async def counting(script: Script, keys: Sequence[str], args: Sequence[Arg] = ()) -> Reply:
        reply = await run(script, keys, args)
        if script is scripts.TURN:
            host, want = str(args[3]), args[5]
            turns[host] += 1
            if want:
                looked.add((host, keys[0]))
        return reply

    monkeypatch.setattr(bench.redis, "run", counting)
    return turns, looked


async def test_redis_takes_a_turn_while_what_the_last_one_claimed_is_begun(
    bench: Bench, make: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Else one of them would always wait for the other."""
    queue, run = bench.queue(concurrency=100), bench.redis.run
    under_way = meanwhile = 0

    async def watched(script: Script, keys: Sequence[str], args: Sequence[Arg] = ()) -> Reply:
        nonlocal under_way
        if script is not scripts.TURN:
            return await run(script, keys, args)
        under_way += 1
        try:
            reply = await run(script, keys, args)
            for _ in range(5):  # also when Redis answers at once, what is begun meanwhile comes first
                await asyncio.sleep(0)
            return reply
        finally:
            under_way -= 1

    async def handle(delivery: Delivery, attempt: int) -> bytes:
        nonlocal meanwhile
        meanwhile += under_way
        return b"null"

    keys = [(installation_id("app", "town"), f"d{n}") for n in range(1000)]
    await queue.enqueue([make(id) for _, id in keys])
    monkeypatch.setattr(bench.redis, "run", watched)
    async with bench.runner(queue, handle), Outcomes(queue) as outcomes:
        found = await outcomes.wait(keys, 10)
    assert {outcome.status if outcome else None for outcome in found} == {"done"}
    assert meanwhile > 700


async def test_new_work_wakes_one_host_and_not_all(
    bench: Bench, make: Make, clock: ManualClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The host that claimed last goes first; the others only look after it had its chance."""
    # It is known as such for two seconds of Redis' own, which run also while the hosts' clock stands still.
    lasting = Script(scripts.TURN.source.replace("':steward', host, 'PX', 2000", "':steward', host, 'PX', 600000"))
    assert lasting != scripts.TURN
    monkeypatch.setattr(scripts, "TURN", lasting)
    turns, looked = counted_turns(bench, monkeypatch)
    app = installation_id("app", "town")
    async with AsyncExitStack() as exits:
        queue = bench.queue()
        outcomes = await exits.enter_async_context(Outcomes(queue))
        runners = {
            name: await exits.enter_async_context(bench.runner(bench.queue(), host=name, clock=clock))
            for name in ("a", "b", "c", "d")
        }
        # Everybody has had a first look at each shard, and sleeps.
        await eventually(lambda: len(looked) == len(runners) * bench.keys.shards)

        async def ended(id: str) -> None:
            (outcome,) = await outcomes.wait([(app, id)], 10)
            assert outcome is not None, id

        turns.clear()
        await queue.enqueue([make("first")])
        await eventually(partial(_ran, bench, clock, "first"))
        await ended("first")
        steward = (await bench.redis.call("GET", queue.shards.of(app).key("steward"))).decode()
        assert turns[steward]
        turns.clear()
        for n in range(100):  # no time passes on the hosts' clock
            await queue.enqueue([make(f"d{n}")])
            await ended(f"d{n}")
        assert list(turns) == [steward], "the others were not even asked"
        await runners[steward].drain(5.0)
        await queue.enqueue([make("last")])
        await eventually(partial(_ran, bench, clock, "last"))  # but they are there when it is gone
        await ended("last")


async def test_where_no_host_is_at_work_the_one_that_enqueues_begins_at_once(
    bench: Bench, make: Make, clock: ManualClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    _, looked = counted_turns(bench, monkeypatch)
    queue = RedisDeliveries(bench.redis, bench.keys, SystemClock(), host_id="here")
    async with bench.runner(queue, host="other", clock=clock), bench.runner(queue, host="here", clock=clock):
        await eventually(lambda: len(looked) == 2 * bench.keys.shards)  # all of them sleep
        await queue.enqueue([make("d")])
        await eventually(lambda: bool(bench.ran))  # no time passes on the hosts' clock


async def _ran(bench: Bench, clock: ManualClock, id: str) -> bool:
    await clock.advance(0.001)
    return (id, 1) in bench.ran
