"""What enqueueing promises."""

from __future__ import annotations

import asyncio
from functools import partial
from typing import TYPE_CHECKING

import pytest

from showground.deliveries import DeadLetters, Outcomes, RedisDeliveries
from showground.deliveries.records import encode_outcome
from showground.deliveries.shard import Ack
from showground.errors import ShowgroundError
from showground.keys import installation_id
from showground.model import Delivery
from showground.testing.clock import ManualClock
from showground.testing.waiting import eventually

if TYPE_CHECKING:
    from tests.runtime.deliveries.conftest import Bench, Make, Wait

APP, OTHER = installation_id("app", "town"), installation_id("other", "town")


async def test_the_same_id_is_delivered_once_and_dedupes_after_it_ended(bench: Bench, make: Make, wait: Wait) -> None:
    queue = bench.queue()
    assert await queue.enqueue([make("a"), make("a"), make("a", to=OTHER)]) == ["new", "duplicate", "new"]
    async with bench.runner(queue):
        assert await wait(queue, "a") == ["done"]
        assert await wait(queue, "a", to=OTHER) == ["done"]
        assert await queue.enqueue([make("a")]) == ["duplicate"]
    assert bench.ran == [("a", 1), ("a", 1)]


async def test_a_full_backlog_refuses_all_of_that_installation_and_nothing_of_others(bench: Bench, make: Make) -> None:
    queue = bench.queue(backlog=3)
    await queue.enqueue([make("1"), make("2")])
    with pytest.raises(ShowgroundError) as caught:
        await queue.enqueue([make("3"), make("4"), make("5", to=OTHER)])
    assert caught.value.code == "overloaded"
    assert [problem.where for problem in caught.value.details] == [APP]
    assert await queue.backlog(APP) == 2
    assert await queue.enqueue([make("2"), make("3"), make("5", to=OTHER)]) == ["duplicate", "new", "duplicate"]


async def test_a_delivery_waits_until_it_is_due(bench: Bench, make: Make, clock: ManualClock, wait: Wait) -> None:
    queue = bench.queue(clock)
    await queue.enqueue([make("later", due_at_ms=clock.now_ms() + 60_000), make("now")])
    async with bench.runner(queue):
        assert await wait(queue, "now") == ["done"]
        await clock.advance(59)
        assert [id for id, _ in bench.ran] == ["now"]
        await clock.advance(2)
        assert await wait(queue, "later") == ["done"]


async def test_an_earlier_delivery_wakes_a_sleeping_runner_at_once(bench: Bench, make: Make, wait: Wait) -> None:
    queue = bench.queue(poll_s=30.0, in_flight=2000)  # room for all shards to look at once, so that none looks twice
    async with bench.runner(queue) as runner:
        entered = queue.clock.monotonic()
        # Every shard has looked since, and sleeps.
        await eventually(lambda: runner.tick_age_s() < queue.clock.monotonic() - entered)
        await queue.enqueue([make("a")])
        assert await wait(queue, "a") == ["done"], "long before the next look"


async def test_overlap_skip_leaves_out_what_comes_while_one_is_outstanding(
    bench: Bench, make: Make, wait: Wait
) -> None:
    queue = bench.queue()
    answers = await queue.enqueue([make("1", group="job", overlap="skip"), make("2", group="job", overlap="skip")])
    assert answers == ["new", "skipped"]
    assert await queue.enqueue([make("2", group="job", overlap="skip")]) == ["duplicate"]
    async with bench.runner(queue):
        assert await wait(queue, "1", "2") == ["done", "skipped"]
        assert await queue.enqueue([make("3", group="job", overlap="skip")]) == ["new"]
        assert await wait(queue, "3") == ["done"]
    assert [(o.delivery, o.status) for o in await queue.history(APP, "job")] == [
        ("3", "done"),
        ("1", "done"),
        ("2", "skipped"),
    ]


async def test_overlap_queue_runs_one_at_a_time_in_order_also_through_retries(
    bench: Bench, make: Make, wait: Wait
) -> None:
    queue = bench.queue(retry_base_s=0.01)
    running, most = 0, 0

    async def handle(delivery: Delivery, attempt: int) -> bytes:
        nonlocal running, most
        if delivery.group != "job":
            return b"null"
        running += 1
        most = max(most, running)
        # Of the same installation and due later than the group's others: where this one runs, they could have.
        later = f"after {delivery.id}, attempt {attempt}"
        await queue.enqueue([make(later)])
        await eventually(lambda: (later, 1) in bench.ran)
        running -= 1
        if delivery.id == "1" and attempt == 1:
            raise ShowgroundError("worker_died", "it ended")
        return b"null"

    await queue.enqueue([make(str(n), group="job", overlap="queue") for n in range(4)])
    async with bench.runner(queue, handle):
        assert await wait(queue, "0", "1", "2", "3") == ["done"] * 4
    assert most == 1
    in_order = [(id, attempt) for id, attempt in bench.ran if not id.startswith("after")]
    assert in_order == [("0", 1), ("1", 1), ("1", 2), ("2", 1), ("3", 1)]


async def test_history_keeps_the_last_fifty(bench: Bench, make: Make, wait: Wait) -> None:
    queue = bench.queue()
    ids = [str(n) for n in range(70)]
    async with bench.runner(queue):
        await queue.enqueue([make(id, group="job") for id in ids])
        assert await wait(queue, *ids) == ["done"] * 70
    assert len(await queue.history(APP, "job", 1000)) == 50


async def test_history_goes_on_into_the_next_week_and_forgets_the_week_before(
    bench: Bench, make: Make, clock: ManualClock
) -> None:
    """What is known of groups is kept by the week, so that one-off jobs, each with a group of its own, do not pile up."""
    queue = bench.queue(clock)
    shard = queue.shards.of(APP)

    async def run(id: str, group: str) -> None:
        await queue.enqueue([make(id, group=group)])
        (claim,) = (await shard.turn([], 1, "here", queue.settings)).claims
        now_ms = clock.now_ms()
        await shard.turn(
            [Ack(claim, "t", group, encode_outcome(id, "done", 1, now_ms, now_ms))], 0, "here", queue.settings
        )

    async def history(group: str) -> list[str]:
        return [outcome.delivery for outcome in await queue.history(APP, group)]

    await run("only", "one-off")
    await run("first", "job")
    await clock.advance(4 * 24 * 3600)
    await run("second", "job")
    await clock.advance(2.9 * 24 * 3600)
    assert (await history("one-off"), await history("job")) == (["only"], ["second", "first"])
    await clock.advance(24 * 3600)
    assert (await history("one-off"), await history("job")) == ([], ["second"])
    await run("third", "job")
    assert await history("job") == ["third", "second"]
    await clock.advance(14 * 24 * 3600)
    assert await history("job") == []


async def test_clearing_forgets_everything_of_one_installation(bench: Bench, make: Make, wait: Wait) -> None:
    queue = bench.queue(max_attempts=1)
    letters = DeadLetters(queue)
    async with bench.runner(queue, drain_s=0.1):
        await queue.enqueue([make("dead", "Fails", group="g"), make("kept", to=OTHER, group="g")])
        assert await wait(queue, "dead") == ["dead"]
        assert await wait(queue, "kept", to=OTHER) == ["done"]
        await queue.enqueue([make("hangs", "Hangs"), make("hangs", "Hangs", to=OTHER)])
        await eventually(lambda: len(bench.ran) == 4)
    # The hanging ones were given back by the runner that left.
    await queue.enqueue([make(f"{n}", group="g", overlap="queue", due_at_ms=2**42 * (n % 2)) for n in range(2500)])
    await queue.clear(APP)
    assert await queue.backlog(APP) == 0
    assert await letters.count(APP) == 0
    assert await queue.history(APP, "g") == []
    left = [key.decode() async for key in bench.redis.scan(f"{bench.keys.prefix}:*")]
    assert [key for key in left if APP in key and ":d:" not in key] == []
    assert await queue.backlog(OTHER) == 1
    assert len(await queue.history(OTHER, "g")) == 1


async def test_an_outcome_is_known_to_who_asks_late_but_not_how_an_attempt_failed(
    bench: Bench, make: Make, clock: ManualClock
) -> None:
    queue = bench.queue(clock)
    await queue.enqueue([make("fails", "Fails"), make("works")])
    async with bench.runner(queue), Outcomes(queue) as outcomes:
        await eventually(lambda: len(bench.ran) == 2)
        await eventually(lambda: _not_running(queue))
        (works,) = await outcomes.wait([(APP, "works")], 10)
        assert await outcomes.wait([(APP, "fails")], 0.1) == [None], (
            "it is to be tried again, and the clock stands still"
        )
    assert works is not None
    assert (works.status, works.result) == ("done", b'"ok"')


async def test_who_waits_before_the_attempt_learns_how_it_failed(bench: Bench, make: Make, clock: ManualClock) -> None:
    queue = bench.queue(clock)
    wanted = queue.shards.of(APP).key("wanted")
    async with Outcomes(queue) as outcomes:
        for wait_s in (0.3, 1, 3, 9):  # whoever waits for as long as the attempt takes
            id = f"waited for {wait_s} s"
            await queue.enqueue([make(id, "Fails")])
            waiting = asyncio.ensure_future(outcomes.wait([(APP, id)], wait_s))
            await eventually(partial(bench.redis.call, "SISMEMBER", wanted, f"{APP}|{id}"))
            async with bench.runner(queue):
                (outcome,) = await waiting
            if outcome is not None:
                break
    assert outcome is not None
    assert (outcome.status, outcome.attempts, (outcome.error or {})["code"]) == ("failed", 1, "app_error")


async def test_a_delivery_that_cannot_be_read_blocks_nothing(bench: Bench, make: Make, wait: Wait) -> None:
    queue = bench.queue()
    await queue.enqueue([make("broken"), make("after")])
    key = queue.shards.of(APP).key("d", f"{APP}|broken")
    await bench.redis.call("SET", key, b"0" + b"0" * 13 + b"\xc1 not msgpack")
    async with bench.runner(queue):
        assert await wait(queue, "after") == ["done"]
        await eventually(lambda: _is_empty(queue))


async def _not_running(queue: RedisDeliveries) -> bool:
    return not await queue.redis.call("EXISTS", queue.shards.of(APP).key("leases"))


async def _is_empty(queue: RedisDeliveries) -> bool:
    return await queue.backlog(APP) == 0
