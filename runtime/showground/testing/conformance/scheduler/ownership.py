"""Jobs and their installation: those of the manifest, carried over by an import, gone when it is uninstalled."""

from __future__ import annotations

import msgspec
import pytest

from showground.errors import ShowgroundError
from showground.model import StaticJob
from showground.testing.conformance.scheduler.bench import (
    BELL,
    CLOCK,
    MINUTE_MS,
    START_MS,
    SchedulerBench,
    installation,
    job,
    pass_time,
    slots,
)


class Ownership:
    async def test_static_jobs_become_those_of_the_manifest(self, bench: SchedulerBench) -> None:
        tick, tock = StaticJob(name="tick", cron="* * * * *"), StaticJob(name="tock", cron="0 * * * *")
        async with bench.open() as scheduler:
            await scheduler.sync_static(installation(tick, tock))
            dynamic = await scheduler.run_job(job(key="tick"))
            before = {j.name: j.id for j in await scheduler.list_jobs(CLOCK) if j.static}
            await scheduler.sync_static(installation(tick, tock))
            assert {j.name: j.id for j in await scheduler.list_jobs(CLOCK) if j.static} == before
            later = StaticJob(name="tick", cron="*/5 * * * *", data={"v": 2})
            await scheduler.sync_static(installation(later))
            static, kept = sorted(await scheduler.list_jobs(CLOCK), key=lambda j: not j.static)
            assert (static.id, static.cron, static.data) == (before["tick"], "*/5 * * * *", {"v": 2})
            assert kept.id == dynamic, "what the app created itself survives an upgrade"

    async def test_a_static_job_can_be_paused_but_not_cancelled(self, bench: SchedulerBench) -> None:
        tick = StaticJob(name="tick", cron="* * * * *")
        async with bench.open() as scheduler:
            await scheduler.sync_static(installation(tick))
            (static,) = await scheduler.list_jobs(CLOCK)
            with pytest.raises(ShowgroundError, match="Unable to cancel action") as refused:
                await scheduler.cancel_job(CLOCK, static.id)
            assert refused.value.code == "forbidden"
            await scheduler.pause(CLOCK, static.id)
            await scheduler.sync_static(installation(tick))
            assert [j.paused for j in await scheduler.list_jobs(CLOCK)] == [True]

    async def test_jobs_are_carried_over_as_they_were(self, bench: SchedulerBench) -> None:
        async with bench.open(creations_per_minute=4) as scheduler:
            await scheduler.sync_static(installation(StaticJob(name="tock", cron="0 * * * *")))
            await scheduler.run_job(job(key="k", data={"a": 1}))
            once = await scheduler.run_job(job(run_at_ms=START_MS + MINUTE_MS))
            asleep = await scheduler.run_job(job(run_at_ms=START_MS + 1))
            await scheduler.pause(CLOCK, asleep)
            before = await scheduler.list_jobs(CLOCK)
            await scheduler.pause(CLOCK, next(j.id for j in before if j.static))
            for job_id in (j.id for j in before if not j.static):
                await scheduler.cancel_job(CLOCK, job_id)
            for known in before:
                await scheduler.load(known)
            assert await scheduler.list_jobs(CLOCK) == before
            # A copy beside the original takes nothing away from it, whether or not it gets an id of its own.
            await scheduler.load(msgspec.structs.replace(before[0], installation=BELL))
            assert [j.name for j in await scheduler.list_jobs(BELL)] == [before[0].name]
            assert await scheduler.list_jobs(CLOCK) == before
            await pass_time(bench, 61, scheduler)
            assert slots(bench, once) == [70 / 60]
            assert slots(bench, asleep) == []

    async def test_an_uninstalled_installation_has_no_jobs_and_gets_none(self, bench: SchedulerBench) -> None:
        async with bench.open() as scheduler:
            await scheduler.run_job(job(key="k"))
            kept = await scheduler.run_job(job(installation=BELL))
            await scheduler.clear(CLOCK)
            assert await scheduler.list_jobs(CLOCK) == []
            with pytest.raises(ShowgroundError, match="uninstalled"):
                await scheduler.run_job(job())
            await pass_time(bench, 60, scheduler)
            assert [d.group for d in bench.deliveries.enqueued] == [kept]
            await scheduler.sync_static(installation())
            await scheduler.run_job(job(key="k"))
