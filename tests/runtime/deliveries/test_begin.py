"""A handler that needs no task keeps the promises of one that has a task."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from showground.deliveries import Runner
from showground.deliveries.attempts import OnAnswer
from showground.errors import ShowgroundError
from showground.keys import installation_id
from showground.model import Delivery
from showground.testing.clock import ManualClock
from showground.testing.waiting import eventually

if TYPE_CHECKING:
    from tests.runtime.deliveries.conftest import Bench, Make, Wait

APP = installation_id("app", "town")


class Begun:
    """Keeps what was begun, until the test answers it."""

    def __init__(self) -> None:
        self.open: dict[str, OnAnswer] = {}
        self.cancelled: list[str] = []
        self.handled: list[str] = []

    def begin(self, delivery: Delivery, attempt: int, on_answer: OnAnswer) -> Callable[[], None] | None:
        if delivery.name == "Waits":
            return None
        if delivery.name == "Refused":
            raise ShowgroundError("overloaded", "no worker is free", retry_after=60.0)
        if delivery.name == "Breaks":
            raise ZeroDivisionError
        self.open[delivery.id] = on_answer
        return lambda: self.cancelled.append(delivery.id)

    async def handle(self, delivery: Delivery, attempt: int) -> bytes:
        self.handled.append(delivery.id)
        return b"null"


async def test_its_answer_ends_the_delivery_and_what_cannot_begin_is_handled(
    bench: Bench, make: Make, wait: Wait
) -> None:
    queue, begun = bench.queue(max_attempts=1), Begun()
    async with Runner(queue, begun.handle, begin=begun.begin, host_id="here"):
        await queue.enqueue([make("good"), make("bad"), make("waits", "Waits"), make("breaks", "Breaks")])
        await eventually(lambda: set(begun.open) == {"good", "bad"})
        begun.open["good"](b"null", None)
        begun.open["bad"](b"", ShowgroundError("app_error", "boom"))
        assert await wait(queue, "good", "bad", "waits", "breaks") == ["done", "dead", "done", "dead"]
    assert begun.handled == ["waits"]


async def test_one_that_was_refused_is_tried_again_and_not_counted(
    bench: Bench, make: Make, clock: ManualClock
) -> None:
    queue, begun = bench.queue(clock), Begun()
    shard = queue.shards.of(APP)
    await queue.enqueue([make("d", "Refused")])
    async with Runner(queue, begun.handle, begin=begun.begin, host_id="here", clock=clock):
        await eventually(lambda: _counted_again(bench))
        await clock.settle()
    await clock.advance(130)
    (claim,) = (await shard.turn([], 1, "other", queue.settings)).claims
    assert claim.token.startswith("1 "), "still the first attempt"


async def _counted_again(bench: Bench) -> bool:
    return any(event.name == "delivery" and event.labels["outcome"] == "retried" for event in bench.events)


async def test_a_host_that_leaves_cancels_it_and_gives_it_back_untouched(bench: Bench, make: Make) -> None:
    queue, begun = bench.queue(), Begun()
    async with Runner(queue, begun.handle, begin=begun.begin, host_id="here", drain_s=0.0):
        await queue.enqueue([make("d")])
        await eventually(lambda: "d" in begun.open)
    assert begun.cancelled == ["d"]
    (claim,) = (await queue.shards.of(APP).turn([], 1, "other", queue.settings)).claims
    assert (claim.id, claim.token.split()[0]) == ("d", "1")


async def test_one_whose_lease_was_lost_is_cancelled_and_hands_nothing_in(
    bench: Bench, make: Make, clock: ManualClock
) -> None:
    queue, begun = bench.queue(clock, lease_s=60), Begun()
    await queue.enqueue([make("d")])
    async with Runner(queue, begun.handle, begin=begun.begin, host_id="here"):
        await eventually(lambda: "d" in begun.open)
        await queue.clear(APP)  # whoever took it over has ended it, too
        await clock.advance(30)
        await eventually(lambda: begun.cancelled == ["d"])
        assert bench.counted("delivery_lease_lost") == 1
    assert bench.counted("delivery_fenced") == 0
