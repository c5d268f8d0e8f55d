"""The redis provider keeps every promise of the scheduler capability, and leaves no key behind."""

from contextlib import AbstractAsyncContextManager

import pytest

from showground.capabilities import Scheduler
from showground.clock import SystemClock
from showground.keys import KeySpace
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
from showground_scheduler.scheduler import redis_scheduler


class RedisBench:
    def __init__(self, redis: Redis, keys: KeySpace) -> None:
        self.clock = ManualClock(START_MS)
        self.deliveries = MemoryDeliveries(self.clock)
        self._redis = redis
        self._keys = keys

    def open(self, **options: object) -> AbstractAsyncContextManager[Scheduler]:
        lent = services(
            {"poll_s": POLL_S, **options},
            redis=self._redis,
            keys=self._keys,
            clock=self.clock,
            deliveries=self.deliveries,
            host_time=True,
        )
        return redis_scheduler(lent)


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
    # With a poll of a second and a clock that stands, only the poke can wake the first host.
    async with bench.open(poll_s=1.0) as sleeping, bench.open(poll_s=1.0) as asking:
        await bench.clock.settle()
        job_id = await asking.run_job(job(run_at_ms=START_MS))
        await bench.deliveries.until(lambda: len(bench.deliveries.offered) >= 1)
        assert slots(bench, job_id) == [pytest.approx(10 / 60)]
        assert sleeping.tick_age_s() == 0


async def test_a_claim_that_its_host_never_settles_is_taken_by_the_next(bench: SchedulerBench) -> None:
    async with bench.open() as scheduler:
        job_id = await scheduler.run_job(job())
    bench.deliveries.away = True
    async with bench.open() as dying:
        bench.clock.jump(51)
        await bench.clock.advance(POLL_S)
        del dying
    bench.deliveries.away = False
    async with bench.open() as next_host:
        await pass_time(bench, 0, next_host)
        await pass_time(bench, 3, next_host)
    assert slots(bench, job_id) == [1]


async def test_hosts_whose_clocks_are_minutes_off_and_are_set_miss_no_slot_and_fire_none_early(
    redis: Redis, keys: KeySpace
) -> None:
    """Each slot of a second within a second of it, in order, although by both clocks the job is either far off or long missed."""
    real, deliveries = SystemClock(), MemoryDeliveries(SystemClock())
    clocks = [SetClock(300), SetClock(-300)]

    def host(clock: SetClock) -> AbstractAsyncContextManager[Scheduler]:
        return redis_scheduler(services(redis=redis, keys=keys, clock=clock, deliveries=deliveries))

    async with host(clocks[0]) as ahead, host(clocks[1]) as behind:
        asked_ms = real.now_ms()
        seconds = job(cron="* * * * * *", misfire="skip")
        jobs = [await ahead.run_job(seconds), await behind.run_job(seconds)]
        for clock in (*clocks, *clocks):
            seen = len(deliveries.enqueued)
            await deliveries.until(lambda seen=seen: len(deliveries.enqueued) >= seen + 2)  # type: ignore[misc]
            clock.ahead_s = -clock.ahead_s
        ended_ms = real.now_ms()
    for job_id in jobs:
        found = [d.due_at_ms for d in deliveries.enqueued if d.group == job_id]
        assert found == list(range(found[0], found[0] + 1000 * len(found), 1000))
        assert asked_ms < found[0] <= asked_ms + 1000
        assert ended_ms - 2000 <= found[-1] <= ended_ms
