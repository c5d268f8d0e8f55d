"""Random histories against simple models: the scheduler under a clock that tests move, and live posts on a real host."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from showground.capabilities import Job, Scheduler
from showground.errors import ShowgroundError
from showground.keys import InstallationId, KeySpace
from showground.testing.clock import ManualClock
from showground.testing.deliveries import MemoryDeliveries
from showground.testing.fuzz import examples, fuzz
from showground.testing.host import running_host
from showground.testing.services import services
from showground.testing.viewer import Viewer
from showground_scheduler.memory_store import MemoryStore
from showground_scheduler.scheduler import running

CLOCK = InstallationId("clock:town")
NOON_MS = 1_780_315_200_000
"""A whole minute. The clock stands a tenth of a second after whole seconds, so that no slot is at the very moment of a change."""

# --- the scheduler ---------------------------------------------------------------------------------------------------


@dataclass
class Planned:
    """What the model knows of a job."""

    every_s: int | None
    at_ms: int | None
    since_ms: int
    paused: bool = False
    over: bool = False


@dataclass
class Town:
    """A scheduler and what it should have done."""

    clock: ManualClock
    deliveries: MemoryDeliveries
    scheduler: Scheduler
    jobs: dict[str, Planned] = field(default_factory=dict)
    keys: dict[str, str] = field(default_factory=dict)
    due: list[str] = field(default_factory=list)

    async def plan(self, every_s: int | None, in_s: int | None, key: str | None) -> None:
        now = self.clock.now_ms()
        at = now + in_s * 1000 + 500 if in_s is not None else None
        cron = f"*/{every_s} * * * * *" if every_s is not None else None
        job = Job(id="", name="tick", installation=CLOCK, cron=cron, run_at_ms=at, key=key, overlap="allow")
        made = await self.scheduler.run_job(job)
        if key is not None:
            known = self.keys.get(key)
            assert known is None or self.jobs[known].over or made == known, "a key names one job"
            self.keys[key] = made
        before = self.jobs.get(made)
        due = None if at is None else max(at, now)  # a time in the past is due at once
        self.jobs[made] = Planned(every_s, due, now, paused=before is not None and before.paused)

    def pick(self, number: int) -> str | None:
        alive = [name for name, job in self.jobs.items() if not job.over]
        return alive[number % len(alive)] if alive else None

    async def change(self, what: str, number: int) -> None:
        name = self.pick(number)
        if name is None:
            return
        job = self.jobs[name]
        if what == "cancel":
            assert await self.scheduler.cancel_job(CLOCK, name)
            assert not await self.scheduler.cancel_job(CLOCK, name)
            job.over = True
        elif what == "pause":
            await self.scheduler.pause(CLOCK, name)
            job.paused = True
        else:
            await self.scheduler.resume(CLOCK, name)
            if job.paused:
                job.paused, job.since_ms = False, self.clock.now_ms()
                job.at_ms = None if job.at_ms is None else max(job.at_ms, job.since_ms)

    async def pass_time(self, seconds: int) -> None:
        await self.clock.advance(seconds)
        now = self.clock.now_ms()
        for name, job in self.jobs.items():
            if job.over or job.paused:
                continue
            if job.at_ms is not None:
                if job.at_ms <= now:
                    self.due.append(f"{name}@{job.at_ms}")
                    job.over = True
                continue
            assert job.every_s is not None
            first = job.since_ms - job.since_ms % 1000 + 1000
            self.due += [f"{name}@{ms}" for ms in range(first, now + 1, 1000) if ms // 1000 % 60 % job.every_s == 0]
            job.since_ms = now

    async def check(self) -> None:
        done, due = sorted(self.deliveries.ids), sorted(self.due)
        assert done == due, f"too many: {set(done) - set(due)}, missing: {set(due) - set(done)}, of {self.jobs}"
        assert len(set(self.deliveries.ids)) == len(self.deliveries.ids)
        listed = {job.id: job.paused for job in await self.scheduler.list_jobs(CLOCK)}
        assert listed == {name: job.paused for name, job in self.jobs.items() if not job.over}


@asynccontextmanager
async def town() -> AsyncIterator[Town]:
    clock = ManualClock(NOON_MS + 100)
    deliveries = MemoryDeliveries(clock)
    lent = services(
        {"poll_s": 0.0625, "recurring_jobs": 1000, "creations_per_minute": 1000}, clock=clock, deliveries=deliveries
    )
    async with running(MemoryStore(clock.now_ms), lent) as scheduler:
        yield Town(clock, deliveries, scheduler)


numbers = st.integers(0, 9)
histories = st.lists(
    st.one_of(
        st.tuples(st.just("plan"), st.sampled_from([1, 2, 7, 20, 59]), st.none(), st.none() | st.sampled_from("ab")),
        st.tuples(st.just("plan"), st.none(), st.integers(-5, 70), st.none() | st.sampled_from("ab")),
        st.tuples(st.sampled_from(["cancel", "pause", "resume"]), numbers),
        st.tuples(st.just("pass"), st.integers(1, 45)),
    ),
    min_size=2,
    max_size=12,
)


@examples(40)
@given(histories)
def test_every_slot_of_every_job_is_enqueued_once_in_any_history(history: list[tuple[Any, ...]]) -> None:
    async def live() -> None:
        async with town() as made:
            for what, *arguments in history:
                if what == "plan":
                    await made.plan(*arguments)
                elif what == "pass":
                    await made.pass_time(*arguments)
                else:
                    await made.change(what, *arguments)
            await made.pass_time(1)
            await made.check()

    asyncio.run(live())


def test_a_job_of_another_installation_is_not_there_in_any_call() -> None:
    async def live() -> None:
        async with town() as made:
            await made.plan(7, None, None)
            [name] = made.jobs
            stranger = InstallationId("clock:elsewhere")
            assert not await made.scheduler.cancel_job(stranger, name)
            for call in (made.scheduler.pause, made.scheduler.resume, made.scheduler.run_now):
                with pytest.raises(ShowgroundError) as caught:
                    await call(stranger, name)
                assert caught.value.code == "not_found"
            await made.pass_time(30)
            await made.check()

    asyncio.run(live())


# --- live posts ------------------------------------------------------------------------------------------------------


@dataclass
class Watching:
    viewer: Viewer
    own: int = 0
    shared: int = 0
    away: bool = False

    async def check(self) -> None:
        if not self.away:
            await self.viewer.sees(f"own {self.own}\n")
            await self.viewer.sees(f"shared {self.shared}\n")


deeds = st.lists(
    st.one_of(
        st.tuples(st.sampled_from(["own", "shared", "cut", "return", "crash", "fail"]), st.integers(0, 2)),
        st.tuples(st.just("come"), st.just(0)),
    ),
    min_size=3,
    max_size=12,
)


async def test_every_view_is_what_its_history_made_it(tmp_path: Path, redis_url: str, keys: KeySpace) -> None:
    """Presses, messages, lost connections and workers that die, in any order: nothing is lost and nothing happens twice."""
    async with running_host(tmp_path, redis_url, keys.prefix) as host:
        await host.install(Path(__file__).parents[1] / "runtime" / "views" / "tally")

        crashes: list[int] = []

        async def attempt(history: list[tuple[str, int]]) -> None:
            post = await host.submit_post("tally")
            async with AsyncExitStack() as stack:
                there: list[Watching] = []
                for what, number in [("come", 0), ("come", 0), *history]:
                    if what == "come":
                        if len(there) < 3:
                            viewer = await stack.enter_async_context(Viewer(host.host.url, post))
                            await viewer.sees("channel here")
                            there.append(Watching(viewer))
                        continue
                    if what == "crash":
                        crashes.append(1)
                        if len(crashes) > 1:  # further ones in a row are answered with a pause before the restart
                            continue
                    await do(what, there[number % len(there)], there)
                    for each in there:
                        await each.check()
                for each in there:
                    if each.away:
                        await do("return", each, there)
                    await each.check()

        assert await fuzz(deeds, attempt, 12, timeout_s=50) >= 8


async def do(what: str, one: Watching, there: list[Watching]) -> None:
    if what == "return":
        if one.away:
            await one.viewer.connect()
            assert one.viewer.resumed
            await one.viewer.sees("channel here")
            one.away = False
        return
    if one.away:
        return
    if what == "cut":
        await one.viewer.cut()
        one.away = True
    elif what == "own":
        await one.viewer.press("Add own")
        one.own += 1
    elif what == "shared":
        await one.viewer.press("Add shared")
        for each in there:
            each.shared += 1
    elif what == "crash":
        await one.viewer.press("Crash")
    elif what == "fail":
        await one.viewer.press("Fail")
