"""What the loop does when something in its way is wrong."""

import asyncio
from collections import Counter
from functools import lru_cache

import pytest

from showground.capabilities import Job
from showground.errors import ShowgroundError
from showground.keys import installation_id
from showground.model import HostEvent
from showground.tasks import Tasks
from showground.testing.clock import ManualClock
from showground.testing.deliveries import MemoryDeliveries
from showground_scheduler.cron import Cron
from showground_scheduler.loop import STALE_S, Loop
from showground_scheduler.memory_store import MemoryStore
from showground_scheduler.options import Options
from showground_scheduler.store import Claim

CLOCK = installation_id("clock", "playground")


class AwkwardStore(MemoryStore):
    """A store that can be away, or so slow that the process seems to have been stopped."""

    def __init__(self, clock: ManualClock) -> None:
        super().__init__(clock.now_ms)
        self.clock = clock
        self.away = False
        self.claim_takes_s = 0.0

    async def claim(self, shard: int, limit: int, hold_ms: int) -> Claim:
        if self.away:
            raise ShowgroundError("store_unavailable", "away", "redis")
        found = await super().claim(shard, limit, hold_ms)
        if self.claim_takes_s:
            await self.clock.advance(self.claim_takes_s)
        return found


class Bench:
    def __init__(self, clock: ManualClock) -> None:
        self.clock = clock
        self.store = AwkwardStore(clock)
        self.deliveries = MemoryDeliveries(clock)
        self.counted: Counter[str] = Counter()
        parse = lru_cache(maxsize=8)(Cron.parse)
        self.loop = Loop(self.store, self.deliveries, clock, Options(), parse, self.observe)

    def observe(self, event: HostEvent) -> None:
        self.counted[event.name] += 1

    async def add(self, job_id: str, **fields: str) -> None:
        now_ms = self.clock.now_ms()
        job = Job(id=job_id, name="tick", installation=CLOCK, cron="* * * * *", next_run_ms=now_ms, **fields)  # type: ignore[arg-type]
        await self.store.create(job, now_ms, None)


@pytest.fixture
def bench(clock: ManualClock) -> Bench:
    return Bench(clock)


async def test_a_batch_that_was_held_too_long_is_given_up_and_found_again(bench: Bench) -> None:
    """The queue remembers ids for a day: who wakes up later than that must not enqueue what it read before."""
    await bench.add("a")
    due = bench.clock.now_ms()
    bench.store.claim_takes_s = STALE_S + 1
    await bench.loop.turn()
    assert bench.deliveries.offered == []
    bench.store.claim_takes_s = 0
    await bench.loop.turn()
    assert bench.deliveries.ids == [f"a@{due}"]


async def test_a_job_whose_zone_has_left_tzdata_stops_no_other(bench: Bench) -> None:
    await bench.add("broken", timezone="Gone/Zone")
    await bench.add("fine")
    await bench.loop.turn()
    assert [d.group for d in bench.deliveries.enqueued] == ["fine"]
    assert bench.counted["scheduler_job_broken"] == 1
    bench.clock.jump(30)
    await bench.clock.advance(1)
    await bench.loop.turn()
    assert bench.counted["scheduler_job_broken"] == 1, "it is looked at once a minute"


async def test_the_loop_outlives_a_store_that_is_away_and_says_how_long_it_was(
    bench: Bench, caplog: pytest.LogCaptureFixture
) -> None:
    await bench.add("a")
    bench.store.away = True
    async with Tasks() as tasks:
        tasks.start("loop", bench.loop.run())
        await bench.clock.advance(60)
        assert bench.loop.tick_age_s() == 60
        assert 50 <= bench.counted["scheduler_turn_failed"] <= 70, "it backs off to one try a second"
        bench.store.away = False
        await bench.clock.advance(1.1)
        assert [answer for _, answer in bench.deliveries.offered] == ["new"]
        assert bench.loop.tick_age_s() < 1.1
    assert [r.getMessage() for r in caplog.records] == [
        "scheduler waits for the store: redis: away",
        "scheduler goes on after 60.5 s",
    ]


async def test_an_idle_loop_sleeps_until_its_poll_and_a_poke_wakes_it(bench: Bench) -> None:
    async with Tasks() as tasks:
        tasks.start("loop", bench.loop.run())
        await bench.clock.settle()
        await bench.add("a")
        await bench.clock.advance(0.5)
        assert bench.deliveries.offered == []
        bench.loop.poke(0, bench.clock.now_ms())
        await asyncio.wait_for(bench.deliveries.until(lambda: len(bench.deliveries.offered) == 1), 5)


async def test_the_loop_does_not_spin_while_a_job_is_due_within_less_than_a_millisecond(bench: Bench) -> None:
    await bench.add("a")
    turns = 0
    turn = bench.loop.turn

    async def counted() -> None:
        nonlocal turns
        turns += 1
        await turn()

    bench.loop.turn = counted  # type: ignore[method-assign]  # counts, and does the same
    async with Tasks() as tasks:
        tasks.start("loop", bench.loop.run())
        await bench.clock.settle(200)
        assert turns == 1
        await bench.clock.advance(0.01)
        assert turns <= 11
