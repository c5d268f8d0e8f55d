"""What every provider of the scheduler capability must do. Subclass `SchedulerConformance` and give it a `bench` fixture.

class TestMyProvider(SchedulerConformance):
    @pytest.fixture
    def bench(self) -> SchedulerBench:
        ...
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from contextlib import AbstractAsyncContextManager
from datetime import UTC, datetime
from typing import Any, Protocol

import msgspec
import pytest

from showground.capabilities import Job, Scheduler
from showground.errors import ShowgroundError
from showground.keys import InstallationId, installation_id
from showground.model import AppVersion, Installation, JobSpec, Json, Misfire, Registration, StaticJob
from showground.testing.clock import ManualClock
from showground.testing.deliveries import MemoryDeliveries
from showground.testing.waiting import eventually

CLOCK = installation_id("clock", "playground")
BELL = installation_id("bell", "library")
START_MS = int(datetime(2026, 6, 1, 12, 0, 10, tzinfo=UTC).timestamp() * 1000)
"""Ten seconds past noon, so that the first slot of `* * * * *` is 50 s away."""
NOON_MS = START_MS - 10_000
MINUTE_MS = 60_000
POLL_S = 0.0625
"""What `open` sets `poll_s` to; a power of two, so that sums of it are exact."""


class SchedulerBench(Protocol):
    """One empty store and one clock that stands at `START_MS`, for one test."""

    @property
    def clock(self) -> ManualClock: ...

    @property
    def deliveries(self) -> MemoryDeliveries:
        """The queue of every scheduler of this bench."""
        ...

    def open(self, **options: object) -> AbstractAsyncContextManager[Scheduler]:
        """One more host's scheduler over the store, with *options* as in the section `[scheduler]`, and `poll_s=POLL_S`."""
        ...


async def pass_time(bench: SchedulerBench, seconds: float, *schedulers: Scheduler) -> None:
    """Let *seconds* pass, and each of *schedulers* finish a turn that began after that."""

    async def have_turned() -> bool:
        # A little more at each look: a turn that failed waits for time to pass before it tries again.
        await bench.clock.advance(POLL_S)
        return all(s.tick_age_s() < POLL_S for s in schedulers)

    bench.clock.jump(seconds)
    # The second step makes sure that a turn that was under way at the jump is not taken for a later one.
    for _ in range(2):
        await eventually(have_turned)


def job(name: str = "tick", installation: InstallationId = CLOCK, **fields: Any) -> Job:
    """A job every minute that may overlap itself, unless *fields* say otherwise."""
    given = {"overlap": "allow", **({} if "run_at_ms" in fields else {"cron": "* * * * *"}), **fields}
    return Job(id="", name=name, installation=installation, **given)


def installation(*static: StaticJob, names: Sequence[str] = ("tick", "tock")) -> Installation:
    app, community = CLOCK.split(":")
    registration = Registration(jobs=tuple(JobSpec(name=n) for n in names), static_jobs=static)
    version = AppVersion(app=app, version="1.0.0", digest="d", entry="main.py", registration=registration)
    return Installation(id=CLOCK, app=app, community=community, version=version, installed_at_ms=0)


def slots(bench: SchedulerBench, job_id: str) -> list[float]:
    """The slots of a job that were accepted, in minutes after noon."""
    found = [d.id.partition("@") for d in bench.deliveries.enqueued]
    return [(int(slot) - NOON_MS) / MINUTE_MS for owner, _, slot in found if owner == job_id]


class SchedulerConformance:
    """Each test gets a fresh `bench`."""

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

    async def test_a_zone_decides_what_a_time_means(self, bench: SchedulerBench) -> None:
        async with bench.open() as scheduler:
            await scheduler.run_job(job(cron="0 21 * * *", timezone="Asia/Tokyo"))
            (tokyo,) = await scheduler.list_jobs(CLOCK)
            assert tokyo.next_run_ms == NOON_MS + 24 * 3600 * 1000
            await scheduler.run_job(job(cron="30 14 * * *", timezone="Europe/Berlin", key="k"))
            berlin = (await scheduler.list_jobs(CLOCK))[0]
            assert berlin.next_run_ms == NOON_MS + 30 * MINUTE_MS

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

            async def has_aged() -> bool:
                await bench.clock.advance(5)
                return scheduler.tick_age_s() >= 30

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
