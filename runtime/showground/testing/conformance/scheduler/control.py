"""What an app or an operator does to a job that exists: pause, resume, run, list, cancel."""

from __future__ import annotations

import pytest

from showground.errors import ShowgroundError
from showground.testing.conformance.scheduler.bench import (
    BELL,
    CLOCK,
    MINUTE_MS,
    NOON_MS,
    SchedulerBench,
    job,
    pass_time,
    slots,
)


class Control:
    async def test_a_paused_job_fires_nothing_and_resumes_with_the_next_slot(self, bench: SchedulerBench) -> None:
        async with bench.open() as scheduler:
            job_id = await scheduler.run_job(job(misfire="all", key="k"))
            await scheduler.pause(CLOCK, job_id)
            await scheduler.pause(CLOCK, job_id)
            await pass_time(bench, 180, scheduler)
            (paused,) = await scheduler.list_jobs(CLOCK)
            assert (paused.paused, paused.next_run_ms) == (True, None)
            assert slots(bench, job_id) == []
            await scheduler.run_job(job(misfire="all", key="k", cron="*/2 * * * *"))
            assert (await scheduler.list_jobs(CLOCK))[0].paused, "an upsert does not undo an operator's pause"
            await scheduler.resume(CLOCK, job_id)
            await scheduler.resume(CLOCK, job_id)
            await pass_time(bench, 60, scheduler)
            assert slots(bench, job_id) == [4]

    async def test_pausing_resuming_and_running_need_a_job_of_the_installation(self, bench: SchedulerBench) -> None:
        async with bench.open() as scheduler:
            foreign = await scheduler.run_job(job(installation=BELL))
            for call in (scheduler.pause, scheduler.resume, scheduler.run_now):
                for job_id in (foreign, "nothing"):
                    with pytest.raises(ShowgroundError) as refused:
                        await call(CLOCK, job_id)
                    assert refused.value.code == "not_found"
            assert not await scheduler.cancel_job(CLOCK, foreign)
            assert [j.id for j in await scheduler.list_jobs(BELL)] == [foreign]

    async def test_run_now_is_an_extra_run_also_of_a_paused_job(self, bench: SchedulerBench) -> None:
        async with bench.open() as scheduler:
            job_id = await scheduler.run_job(job(overlap="skip"))
            await scheduler.pause(CLOCK, job_id)
            run = await scheduler.run_now(CLOCK, job_id)
            assert run.startswith(f"{job_id}@now-")
            assert bench.deliveries.ids == [run]
            with pytest.raises(ShowgroundError) as refused:
                await scheduler.run_now(CLOCK, job_id)
            assert refused.value.code == "conflict"
            bench.deliveries.finish(run)
            assert await scheduler.run_now(CLOCK, job_id) != run

    async def test_history_is_that_of_the_job(self, bench: SchedulerBench) -> None:
        async with bench.open() as scheduler:
            job_id = await scheduler.run_job(job(overlap="skip"))
            await pass_time(bench, 60, scheduler)
            await pass_time(bench, 60, scheduler)
            bench.deliveries.finish_all()
            found = [(o.delivery, o.status) for o in await scheduler.history(CLOCK, job_id)]
            one, two = (f"{job_id}@{NOON_MS + n * MINUTE_MS}" for n in (1, 2))
            assert found == [(one, "done"), (two, "skipped")]
            assert len(await scheduler.history(CLOCK, job_id, 1)) == 1
            assert await scheduler.history(BELL, job_id) == []

    async def test_a_cancelled_job_fires_no_more(self, bench: SchedulerBench) -> None:
        async with bench.open() as scheduler:
            job_id = await scheduler.run_job(job())
            assert await scheduler.cancel_job(CLOCK, job_id)
            assert not await scheduler.cancel_job(CLOCK, job_id)
            await pass_time(bench, 120, scheduler)
        assert bench.deliveries.enqueued == []

    async def test_jobs_are_listed_by_next_run_and_paused_ones_last(self, bench: SchedulerBench) -> None:
        async with bench.open() as scheduler:
            hourly = await scheduler.run_job(job(cron="0 * * * *"))
            paused = await scheduler.run_job(job())
            await scheduler.pause(CLOCK, paused)
            minutely = await scheduler.run_job(job())
            once = await scheduler.run_job(job(run_at_ms=NOON_MS + 2 * MINUTE_MS))
            assert [j.id for j in await scheduler.list_jobs(CLOCK)] == [minutely, once, hourly, paused]
