"""What was given up, and the ways back."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import pytest

from showground.deliveries import DeadLetters
from showground.deliveries.shard import Claim
from showground.errors import ShowgroundError
from showground.keys import installation_id
from showground.model import Delivery
from showground.testing.clock import ManualClock

if TYPE_CHECKING:
    from tests.runtime.deliveries.conftest import Bench, Make, Wait

APP = installation_id("app", "town")


async def test_a_redriven_letter_runs_as_new_under_its_old_id(bench: Bench, make: Make, wait: Wait) -> None:
    queue = bench.queue(max_attempts=1)
    letters = DeadLetters(queue)
    works = False

    async def handle(delivery: Delivery, attempt: int) -> bytes:
        if not works:
            raise ShowgroundError("app_error", "boom")
        return b"null"

    async with bench.runner(queue, handle):
        await queue.enqueue([make("d", group="g")])
        assert await wait(queue, "d") == ["dead"]
        letter = await letters.show(APP, "d")
        assert letter.delivery.payload == b"{}"
        assert letter.to_json()["error"]["message"] == "boom"  # type: ignore[index]
        works = True
        await letters.redrive(APP, "d")
        assert await wait(queue, "d") == ["done"]
    assert bench.ran == [("d", 1), ("d", 1)]
    assert [outcome.status for outcome in await queue.history(APP, "g")] == ["done", "dead"]
    assert await letters.count(APP) == 0
    for call in (letters.show, letters.redrive, letters.purge):
        with pytest.raises(ShowgroundError) as caught:
            await call(APP, "d")
        assert caught.value.code == "not_found"


async def test_the_oldest_letters_give_way_and_are_counted(
    bench: Bench, make: Make, clock: ManualClock, wait: Wait
) -> None:
    queue = bench.queue(clock, host_id="here", max_attempts=1, dead_letters=3, dead_letter_age_s=3600.0)
    letters = DeadLetters(queue)
    async with bench.runner(queue):
        for n in range(5):
            await queue.enqueue([make(f"d{n}", "Fails")])
            assert await wait(queue, f"d{n}") == ["dead"]
            await clock.advance(1)
        assert [letter.delivery.id for letter in await letters.list(APP)] == ["d4", "d3", "d2"]
        assert [letter.delivery.id for letter in await letters.list(APP, 1, 1)] == ["d3"]
        assert bench.counted("dead_letters_dropped") == 2
        await clock.advance(3600)
        await queue.enqueue([make("d9", "Fails")])
        assert await wait(queue, "d9") == ["dead"]
        assert [letter.delivery.id for letter in await letters.list(APP)] == ["d9"]
        assert bench.counted("dead_letters_dropped") == 5


async def test_redriving_and_purging_all(bench: Bench, make: Make, wait: Wait) -> None:
    queue = bench.queue(max_attempts=1, backlog=100)
    letters = DeadLetters(queue)
    ids = [f"d{n}" for n in range(60)]
    async with bench.runner(queue):
        await queue.enqueue([make(id, "Fails") for id in ids])
        assert await wait(queue, *ids) == ["dead"] * 60
    assert await letters.redrive_all(APP) == 60
    assert (await letters.count(APP), await queue.backlog(APP)) == (0, 60)
    async with bench.runner(queue):
        assert await wait(queue, *ids) == ["dead"] * 60
    await queue.enqueue([make(f"n{n}") for n in range(60)])
    with pytest.raises(ShowgroundError) as caught:
        await letters.redrive_all(APP)
    assert caught.value.code == "overloaded"
    assert await letters.count(APP) == 60, "what found no room stays where it is"
    await letters.purge(APP, "d0")
    assert await letters.purge_all(APP) == 59
    assert await letters.count(APP) == 0


async def test_a_delivery_that_takes_its_host_down_each_time_is_buried(bench: Bench, make: Make, wait: Wait) -> None:
    """Its claims expire one after the other; nobody is there to judge a failure."""
    queue = bench.queue(max_attempts=2, lease_s=0.2)
    shard = queue.shards.of(APP)
    await queue.enqueue([make("d")])
    for attempt in (1, 2):
        claims: Sequence[Claim] = ()
        while not claims:
            claims = (await shard.turn([], 8, "doomed", queue.settings)).claims
        assert [int(claim.token.split()[0]) for claim in claims] == [attempt]
    async with bench.runner(queue):
        assert await wait(queue, "d") == ["dead"]
    (letter,) = await DeadLetters(queue).list(APP)
    assert (letter.outcome.error or {})["code"] == "worker_died"
    assert bench.ran == []
