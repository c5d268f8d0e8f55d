"""What creating a job does: replacing by key, quotas, and what is refused."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from typing import Any

import pytest

from showground.errors import ShowgroundError
from showground.testing.conformance.scheduler.bench import BELL, CLOCK, START_MS, SchedulerBench, job, pass_time, slots


class Creation:
    async def test_a_job_with_a_key_replaces_its_predecessor_and_keeps_the_id(self, bench: SchedulerBench) -> None:
        async with bench.open() as scheduler:
            first = await scheduler.run_job(job(key="k", data={"v": 1}))
            other = await scheduler.run_job(job(key="other"))
            again = await scheduler.run_job(job("tock", key="k", cron="*/5 * * * *", data={"v": 2}))
            assert again == first
            found = {j.id: j for j in await scheduler.list_jobs(CLOCK)}
            assert set(found) == {first, other}
            assert (found[first].name, found[first].cron, found[first].data) == ("tock", "*/5 * * * *", {"v": 2})
            await pass_time(bench, 60, scheduler)
            assert slots(bench, first) == []
            await pass_time(bench, 240, scheduler)
            assert slots(bench, first) == [5]

    async def test_an_upsert_with_the_same_times_loses_no_slot_that_is_due(self, bench: SchedulerBench) -> None:
        async with bench.open() as scheduler:
            job_id = await scheduler.run_job(job(key="k", data={"v": 1}))
            bench.clock.jump(60)
            assert await scheduler.run_job(job(key="k", data={"v": 2})) == job_id
            await pass_time(bench, 1, scheduler)
        assert slots(bench, job_id) == [1]

    async def test_a_second_one_off_of_a_key_after_the_first_fired_is_a_new_job(self, bench: SchedulerBench) -> None:
        async with bench.open() as scheduler:
            first = await scheduler.run_job(job(run_at_ms=START_MS, key="k"))
            await pass_time(bench, 1, scheduler)
            second = await scheduler.run_job(job(run_at_ms=START_MS + 60_000, key="k"))
            assert second != first
            assert [j.id for j in await scheduler.list_jobs(CLOCK)] == [second]

    async def test_the_eleventh_recurring_job_is_refused_and_a_cancelled_one_makes_room(
        self, bench: SchedulerBench
    ) -> None:
        async with bench.open() as scheduler:
            ids = [await scheduler.run_job(job(key=f"k{n}")) for n in range(10)]
            with pytest.raises(ShowgroundError) as refused:
                await scheduler.run_job(job())
            assert refused.value.code == "quota_exceeded"
            await scheduler.run_job(job(key="k3", cron="0 * * * *"))
            await scheduler.run_job(job(run_at_ms=START_MS + 10**6))
            await scheduler.run_job(job(installation=BELL))
            assert len(await scheduler.list_jobs(CLOCK)) == 11
            assert await scheduler.cancel_job(CLOCK, ids[0])
            await scheduler.run_job(job())

    async def test_quotas_hold_when_many_ask_at_once(self, bench: SchedulerBench) -> None:
        async with bench.open() as one, bench.open() as two:
            wanted = [host.run_job(job()) for host in (one, two) for _ in range(15)]
            results = await asyncio.gather(*wanted, return_exceptions=True)
            assert sum(isinstance(r, str) for r in results) == 10
            assert len(await one.list_jobs(CLOCK)) == 10

    async def test_the_61st_creation_of_a_minute_is_told_when_to_come_back(self, bench: SchedulerBench) -> None:
        async with bench.open() as scheduler:
            for _ in range(60):
                await scheduler.run_job(job(key="same"))
            bench.clock.jump(20)
            with pytest.raises(ShowgroundError) as refused:
                await scheduler.run_job(job(key="same"))
            assert refused.value.code == "rate_limited"
            assert refused.value.retry_after == pytest.approx(40, abs=1)
            await scheduler.run_job(job(installation=BELL))
            bench.clock.jump(41)
            await scheduler.run_job(job(key="same"))

    @pytest.mark.parametrize(
        ("fields", "text"),
        [
            ({"cron": None}, "Must include timestamp or crontab with schedule request"),
            ({"run_at_ms": 1, "cron": "* * * * *"}, "not both"),
            ({"cron": "61 * * * *"}, "Invalid crontab"),
            ({"cron": "0 0 30 2 *"}, "never fires"),
            ({"timezone": "Mars/Olympus"}, "not a time zone"),
            ({"run_at_ms": 10**15}, "9999"),
            ({"key": ""}, "key"),
            ({"name": ""}, "name"),
        ],
    )
    async def test_what_cannot_be_scheduled_is_refused(
        self, bench: SchedulerBench, fields: Mapping[str, Any], text: str
    ) -> None:
        async with bench.open() as scheduler:
            with pytest.raises(ShowgroundError, match=text) as refused:
                await scheduler.run_job(job(**fields))
            assert refused.value.code == "invalid"
            assert await scheduler.list_jobs(CLOCK) == []

    async def test_data_has_a_limit(self, bench: SchedulerBench) -> None:
        async with bench.open(data_bytes=100) as scheduler:
            with pytest.raises(ShowgroundError) as refused:
                await scheduler.run_job(job(data={"text": "x" * 100}))
            assert refused.value.code == "too_large"
