"""The retry schedule, under a clock that the test moves."""

from __future__ import annotations

import random
from functools import partial
from typing import TYPE_CHECKING, Any, Literal

import pytest

from showground.deliveries import DeadLetters, DeliverySettings, RedisDeliveries
from showground.deliveries.retries import RetryPolicy, Verdict
from showground.errors import ShowgroundError
from showground.keys import installation_id
from showground.model import Delivery
from showground.testing.clock import ManualClock
from showground.testing.waiting import eventually

if TYPE_CHECKING:
    from tests.runtime.deliveries.conftest import Bench, Make, Wait

APP = installation_id("app", "town")


class Highest(random.Random):
    """Always the longest wait, so that the schedule is exact."""

    def uniform(self, a: float, b: float) -> float:
        return b


async def test_tries_follow_the_schedule_and_the_last_one_is_buried(
    bench: Bench, make: Make, clock: ManualClock
) -> None:
    queue = bench.queue(clock, host_id="here")
    runner = bench.runner(queue)
    runner._attempts.policy = RetryPolicy(queue.settings, Highest())
    pauses: list[float] = []
    async with runner:
        await queue.enqueue([make("d", "Fails")])
        for attempt, pause in enumerate((0, 5, 20, 80, 320), 1):
            if pause:
                await clock.advance(pause - 2)
                await clock.settle()
                assert len(bench.ran) == attempt - 1, "not two seconds too early"
                await clock.advance(2.001)
            await eventually(partial(_tried, bench, attempt))
            await eventually(lambda: _not_running(bench, queue))
            due = await bench.redis.call("ZSCORE", queue.shards.of(APP).key("due"), f"{APP}|d")
            pauses += [float(due) - clock.now_ms()] if due else []
        (letter,) = await DeadLetters(queue).list(APP)
    assert len(bench.ran) == 5
    # The clock is moved a millisecond past each, and times are whole milliseconds.
    assert pauses == pytest.approx([5_000, 20_000, 80_000, 320_000], abs=10)
    assert letter.outcome.attempts == 5
    assert (letter.outcome.error or {})["message"] == "boom"
    assert [event.labels["outcome"] for event in bench.events if event.name == "delivery"] == ["retried"] * 4 + ["dead"]


async def _not_running(bench: Bench, queue: RedisDeliveries) -> bool:
    return not await bench.redis.call("EXISTS", queue.shards.of(APP).key("leases"))


async def test_an_event_too_old_to_be_tried_is_buried_unrun(
    bench: Bench, make: Make, clock: ManualClock, wait: Wait
) -> None:
    queue = bench.queue(clock)
    await queue.enqueue([make("old", max_age_s=60.0), make("young", max_age_s=7200.0)])
    await clock.advance(3600)
    async with bench.runner(queue):
        assert await wait(queue, "old", "young") == ["dead", "done"]
    assert bench.ran == [("young", 1)]


def _tried(bench: Bench, attempt: int) -> bool:
    return bench.ran[-1:] == [("d", attempt)]


def judged(
    code: str,
    kind: Literal["trigger", "job"] = "trigger",
    attempt: int = 1,
    age_ms: int = 0,
    retry_after: float | None = None,
    max_attempts: int | None = None,
) -> Verdict:
    delivery = Delivery(id="d", installation=APP, kind=kind, name="x", payload=b"{}", max_attempts=max_attempts)
    policy = RetryPolicy(DeliverySettings(), Highest())
    return policy.judge(delivery, attempt, age_ms, ShowgroundError(code, "", retry_after=retry_after))


@pytest.mark.parametrize(
    ("case", "fate", "delay_s"),
    [
        ({"code": "app_error"}, "again", 5),
        ({"code": "app_error", "attempt": 4}, "again", 320),
        ({"code": "app_error", "attempt": 5}, "dead", 0),
        ({"code": "app_error", "max_attempts": 1}, "dead", 0),
        ({"code": "app_error", "attempt": 9, "max_attempts": 20}, "again", 900),
        ({"code": "app_error", "kind": "job"}, "failed", 0),
        ({"code": "app_error", "kind": "job", "max_attempts": 2}, "again", 5),
        ({"code": "deadline_exceeded", "kind": "job"}, "again", 5),
        ({"code": "worker_died", "kind": "job", "age_ms": 4 * 3600_000}, "dead", 0),
        ({"code": "worker_died", "age_ms": 4 * 3600_000}, "again", 5),
        ({"code": "not_found"}, "again", 5),
        ({"code": "rate_limited", "retry_after": 60.0}, "again", 60),
        ({"code": "overloaded", "attempt": 5}, "again_uncounted", 2),
        ({"code": "overloaded", "age_ms": 24 * 3600_000}, "dead", 0),
    ],
)
def test_what_a_failure_leads_to(case: dict[str, Any], fate: str, delay_s: float) -> None:
    verdict = judged(**case)
    assert verdict.fate == fate
    if fate.startswith("again"):
        assert verdict.delay_ms == delay_s * 1000


def test_jitter_is_full() -> None:
    policy = RetryPolicy(DeliverySettings(), random.Random(7))

    delivery = Delivery(id="d", installation=APP, kind="trigger", name="x", payload=b"{}")
    error = ShowgroundError("app_error", "")
    delays = [policy.judge(delivery, 3, 0, error).delay_ms for _ in range(1000)]
    assert min(delays) < 4000
    assert max(delays) > 76_000
    assert 36_000 < sum(delays) / len(delays) < 44_000
