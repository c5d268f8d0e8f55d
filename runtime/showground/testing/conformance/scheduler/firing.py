"""When a job fires: each slot once, in its time zone, on however many hosts."""

from __future__ import annotations

from collections.abc import Mapping

import msgspec

from showground.model import Json
from showground.testing.conformance.scheduler.bench import (
    CLOCK,
    MINUTE_MS,
    NOON_MS,
    START_MS,
    SchedulerBench,
    job,
    pass_time,
    slots,
)


class Firing:
    async def test_each_slot_becomes_one_delivery_with_the_slot_in_its_id(self, bench: SchedulerBench) -> None:
        data: Mapping[str, Json] = {"text": "grüß", "list": [], "map": {}, "big": 2**53, "half": 0.5, "none": None}
        async with bench.open() as scheduler:
            job_id = await scheduler.run_job(job(data=data))
            for _ in range(3):
                await pass_time(bench, 60, scheduler)
        assert slots(bench, job_id) == [1, 2, 3]
        first = bench.deliveries.enqueued[0]
        assert first.id == f"{job_id}@{NOON_MS + MINUTE_MS}"
        assert (first.kind, first.name, first.installation, first.group) == ("job", "tick", CLOCK, job_id)
        assert first.overlap == "allow"
        assert msgspec.json.decode(first.payload) == {
            "name": "tick",
            "data": data,
            "job_id": job_id,
            "scheduled_at_ms": NOON_MS + MINUTE_MS,
        }

    async def test_several_hosts_enqueue_each_slot_once(self, bench: SchedulerBench) -> None:
        async with bench.open() as one, bench.open() as two, bench.open() as three:
            ids = [await one.run_job(job(f"job{n}")) for n in range(5)]
            for _ in range(3):
                await pass_time(bench, 60, one, two, three)
        assert {i: slots(bench, i) for i in ids} == {i: [1, 2, 3] for i in ids}

    async def test_a_one_off_fires_at_its_time_and_is_gone(self, bench: SchedulerBench) -> None:
        async with bench.open() as scheduler:
            job_id = await scheduler.run_job(job(run_at_ms=NOON_MS + 30_000))
            await pass_time(bench, 10, scheduler)
            assert slots(bench, job_id) == []
            await pass_time(bench, 10, scheduler)
            assert slots(bench, job_id) == [0.5]
            assert await scheduler.list_jobs(CLOCK) == []

    async def test_a_one_off_in_the_past_is_due_at_once(self, bench: SchedulerBench) -> None:
        async with bench.open() as scheduler:
            job_id = await scheduler.run_job(job(run_at_ms=1_000, misfire="skip"))
            await bench.deliveries.until(lambda: bool(bench.deliveries.enqueued))
            assert bench.deliveries.ids == [f"{job_id}@{START_MS}"]

    async def test_a_zone_decides_what_a_time_means(self, bench: SchedulerBench) -> None:
        async with bench.open() as scheduler:
            await scheduler.run_job(job(cron="0 21 * * *", timezone="Asia/Tokyo"))
            (tokyo,) = await scheduler.list_jobs(CLOCK)
            assert tokyo.next_run_ms == NOON_MS + 24 * 3600 * 1000
            await scheduler.run_job(job(cron="30 14 * * *", timezone="Europe/Berlin", key="k"))
            berlin = (await scheduler.list_jobs(CLOCK))[0]
            assert berlin.next_run_ms == NOON_MS + 30 * MINUTE_MS
