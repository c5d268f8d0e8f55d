"""The redis provider keeps every promise of the scheduler capability, and leaves no key behind."""

import asyncio
from collections.abc import Sequence
from contextlib import AbstractAsyncContextManager

import pytest

from showground.capabilities import Enqueued, Scheduler
from showground.clock import SystemClock
from showground.hookspecs import Services
from showground.keys import KeySpace
from showground.model import Delivery
from showground.redis.api import Redis
from showground.testing.clock import ManualClock
from showground.testing.conformance.scheduler import (
    CLOCK,
    POLL_S,
    START_MS,
    SchedulerBench,
    SchedulerConformance,
    job,
    pass_time,
    slots,
)
from showground.testing.deliveries import MemoryDeliveries
from showground.testing.services import services
from showground.testing.waiting import eventually
from showground_scheduler.redis_store import RedisStore
from showground_scheduler.scheduler import JobScheduler, redis_scheduler


class RedisBench:
    def __init__(self, redis: Redis, keys: KeySpace) -> None:
        self.clock = ManualClock(START_MS)
        self.deliveries = MemoryDeliveries(self.clock)
        self._redis = redis
        self._keys = keys

    def services(self, **options: object) -> Services:
        return services(
            {"poll_s": POLL_S, **options},
            redis=self._redis,
            keys=self._keys,
            clock=self.clock,
            deliveries=self.deliveries,
            host_time=True,
        )

    def open(self, **options: object) -> AbstractAsyncContextManager[Scheduler]:
        return redis_scheduler(self.services(**options))


@pytest.fixture
def bench(redis: Redis, keys: KeySpace) -> SchedulerBench:
    return RedisBench(redis, keys)


class SetClock(SystemClock):
    """A machine's clock that is wrong by so many seconds, and may be set."""

    def __init__(self, ahead_s: float) -> None:
        self.ahead_s = ahead_s

    def now_ms(self) -> int:
        return super().now_ms() + round(self.ahead_s * 1000)


class TestRedisScheduler(SchedulerConformance):
    @pytest.fixture
    def bench(self, redis: Redis, keys: KeySpace) -> SchedulerBench:
        return RedisBench(redis, keys)


async def test_nothing_of_an_installation_is_left_when_its_jobs_are_gone(
    bench: SchedulerBench, redis: Redis, keys: KeySpace
) -> None:
    async with bench.open() as scheduler:
        kept = await scheduler.run_job(job(key="k"))
        await scheduler.run_job(job(run_at_ms=START_MS, key="once"))
        await pass_time(bench, 1, scheduler)
        await scheduler.cancel_job(CLOCK, kept)
        left = [key async for key in redis.scan(f"{keys.prefix}:*")]
        assert all(b":scheduler:rate:" in key for key in left)
        for key in left:
            assert await redis.call("PTTL", key) > 0


async def test_another_host_makes_a_job_of_the_next_second_known_at_once(redis: Redis, keys: KeySpace) -> None:
    bench = RedisBench(redis, keys)
    # Never entered, so it has no loop: only the other host can run what it plans. With a clock that stands, only the poke
    # can wake that one.
    asking = JobScheduler(RedisStore(redis, keys, bench.clock), bench.services())
    async with bench.open(poll_s=1.0):
        await eventually(lambda: bench.clock.sleepers == 1)
        job_id = await asking.run_job(job(run_at_ms=START_MS))
        await bench.deliveries.until(lambda: len(bench.deliveries.offered) >= 1)
        assert slots(bench, job_id) == [pytest.approx(10 / 60)]


class StuckDeliveries(MemoryDeliveries):
    """Does not answer while it is stuck."""

    is_stuck = False

    async def enqueue(self, deliveries: Sequence[Delivery]) -> Sequence[Enqueued]:
        while self.is_stuck:
            self.refused += 1
            await asyncio.Event().wait()
        return await super().enqueue(deliveries)


async def test_a_claim_that_its_host_never_settles_is_taken_by_the_next(redis: Redis, keys: KeySpace) -> None:
    bench = RedisBench(redis, keys)
    bench.deliveries = queue = StuckDeliveries(bench.clock)
    async with bench.open() as scheduler:
        job_id = await scheduler.run_job(job())
    bench.clock.jump(51)
    queue.is_stuck = True
    async with bench.open():  # it dies between its claim and the queue's answer
        await eventually(lambda: queue.refused)
    queue.is_stuck = False
    async with bench.open() as next_host:
        await pass_time(bench, 0, next_host)
        assert slots(bench, job_id) == [], "the claim holds"
        await pass_time(bench, 3, next_host)
    assert slots(bench, job_id) == [1]


class PunctualDeliveries(MemoryDeliveries):
    """Knows what came before its time, by the machine's true clock."""

    def __init__(self) -> None:
        super().__init__(SystemClock())
        self.early: list[str] = []

    async def enqueue(self, deliveries: Sequence[Delivery]) -> Sequence[Enqueued]:
        now_ms = SystemClock().now_ms()
        self.early += [delivery.id for delivery in deliveries if delivery.due_at_ms > now_ms]
        return await super().enqueue(deliveries)


async def test_hosts_whose_clocks_are_minutes_off_and_are_set_miss_no_slot_and_fire_none_early(
    redis: Redis, keys: KeySpace
) -> None:
    """Each slot of a second when it is due, in order, although by both clocks the job is either far off or long missed."""
    real, deliveries = SystemClock(), PunctualDeliveries()
    clocks = [SetClock(300), SetClock(-300)]

    def host(clock: SetClock) -> AbstractAsyncContextManager[Scheduler]:
        return redis_scheduler(services(redis=redis, keys=keys, clock=clock, deliveries=deliveries))

    async with host(clocks[0]) as ahead, host(clocks[1]) as behind:
        planned: dict[str, tuple[int, int]] = {}
        for scheduler in (ahead, behind):
            asked_ms = real.now_ms()
            job_id = await scheduler.run_job(job(cron="* * * * * *", misfire="skip"))
            planned[job_id] = asked_ms, real.now_ms()
        for clock in (*clocks, *clocks):
            seen = len(deliveries.enqueued)
            await deliveries.until(lambda seen=seen: len(deliveries.enqueued) >= seen + 2)  # type: ignore[misc]
            clock.ahead_s = -clock.ahead_s
    assert deliveries.early == []
    for job_id, (asked_ms, answered_ms) in planned.items():
        found = [d.due_at_ms for d in deliveries.enqueued if d.group == job_id]
        assert found == list(range(found[0], found[0] + 1000 * len(found), 1000))
        assert asked_ms < found[0] <= answered_ms + 1000
