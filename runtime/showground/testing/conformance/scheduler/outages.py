"""What becomes of the slots that no host, no queue or no true clock was there for."""

from __future__ import annotations

from collections.abc import Sequence

import pytest

from showground.model import Misfire
from showground.testing.conformance.scheduler.bench import (
    BELL,
    CLOCK,
    POLL_S,
    START_MS,
    SchedulerBench,
    job,
    pass_time,
    slots,
)
from showground.testing.waiting import eventually


class Outages:
    @pytest.mark.parametrize(
        ("misfire", "expected"),
        [("run_once", [1, 11]), ("skip", [10, 11]), ("all", [1, 2, 3, 11])],
    )
    async def test_after_an_outage_the_misfire_policy_decides(
        self, bench: SchedulerBench, misfire: Misfire, expected: list[float]
    ) -> None:
        async with bench.open() as scheduler:
            job_id = await scheduler.run_job(job(misfire=misfire))
        bench.clock.jump(600)  # ten slots are missed, the last of them by ten seconds only
        async with bench.open(catch_up=3) as scheduler:
            await pass_time(bench, 1, scheduler)
            await pass_time(bench, 60, scheduler)
        assert slots(bench, job_id) == expected

    async def test_what_is_only_late_fires_in_full_whatever_the_policy(self, bench: SchedulerBench) -> None:
        policies: Sequence[Misfire] = ("run_once", "skip", "all")
        async with bench.open() as scheduler:
            ids = [await scheduler.run_job(job(misfire=m, cron="*/10 * * * * *")) for m in policies]
        bench.clock.jump(51)
        async with bench.open() as scheduler:
            await pass_time(bench, 1, scheduler)
        assert [len(slots(bench, i)) for i in ids] == [5, 5, 5]

    async def test_a_late_one_off_still_fires_unless_it_says_skip(self, bench: SchedulerBench) -> None:
        async with bench.open() as scheduler:
            kept = await scheduler.run_job(job(run_at_ms=START_MS + 20_000))
            skipped = await scheduler.run_job(job(run_at_ms=START_MS + 20_000, misfire="skip"))
        bench.clock.jump(3600)
        async with bench.open() as scheduler:
            await pass_time(bench, 1, scheduler)
            assert (len(slots(bench, kept)), len(slots(bench, skipped))) == (1, 0)
            assert await scheduler.list_jobs(CLOCK) == []

    async def test_an_installation_without_room_delays_no_other_and_loses_nothing(self, bench: SchedulerBench) -> None:
        bench.deliveries.full.add(CLOCK)
        async with bench.open(batch=1) as scheduler:
            stuck = await scheduler.run_job(job())
            fine = await scheduler.run_job(job(installation=BELL))
            await pass_time(bench, 60, scheduler)
            assert (slots(bench, stuck), slots(bench, fine)) == ([], [1])
            bench.deliveries.full.clear()
            await pass_time(bench, 10, scheduler)
            assert slots(bench, stuck) == [1]

    async def test_while_the_queue_is_away_the_tick_ages_and_then_every_slot_comes(self, bench: SchedulerBench) -> None:
        async with bench.open() as scheduler:
            job_id = await scheduler.run_job(job())
            await pass_time(bench, 1, scheduler)
            bench.deliveries.away = True
            bench.clock.jump(50)

            async def was_refused() -> bool:
                await bench.clock.advance(POLL_S)
                return bench.deliveries.refused > 0

            async def has_aged() -> bool:
                await bench.clock.advance(5)
                return scheduler.tick_age_s() >= 30

            await eventually(was_refused)  # before: until then the turn may only be waiting for the store
            await eventually(has_aged)
            bench.deliveries.away = False
            await pass_time(bench, 3, scheduler)
            assert scheduler.tick_age_s() < 1
        assert slots(bench, job_id) == [1]
        assert [answer for _, answer in bench.deliveries.offered] == ["new"]

    async def test_a_clock_that_is_set_back_repeats_no_slot(self, bench: SchedulerBench) -> None:
        async with bench.open() as scheduler:
            job_id = await scheduler.run_job(job())
            await pass_time(bench, 120, scheduler)
        bench.clock.jump(-90)
        async with bench.open() as scheduler:
            await pass_time(bench, 30, scheduler)
            await scheduler.pause(CLOCK, job_id)
            await scheduler.resume(CLOCK, job_id)
            for _ in range(3):
                await pass_time(bench, 40, scheduler)
        assert slots(bench, job_id) == [1, 2, 3]
