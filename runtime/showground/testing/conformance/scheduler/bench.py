"""What the claims about the scheduler are tried on, and how they let time pass."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import AbstractAsyncContextManager
from datetime import UTC, datetime
from functools import partial
from typing import Any, Protocol

from showground.capabilities import Job, Scheduler
from showground.keys import InstallationId, installation_id
from showground.model import AppVersion, Installation, JobSpec, Registration, StaticJob
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
        """One more host's scheduler over the store, with *options* as in the section `[scheduler]`, and `poll_s=POLL_S`.

        Between its turns it sleeps by the bench's clock.
        """
        ...


async def pass_time(bench: SchedulerBench, seconds: float, *schedulers: Scheduler) -> None:
    """Let *seconds* pass, and each of *schedulers* finish a turn that began after that."""
    bench.clock.jump(seconds)
    # The second time makes sure that a turn that was under way at the jump is not taken for a later one.
    for _ in range(2):
        await eventually(partial(_have_turned, bench, bench.clock.monotonic(), schedulers))


async def _have_turned(bench: SchedulerBench, since_s: float, schedulers: Sequence[Scheduler]) -> bool:
    """Whether each has finished a turn after *since_s*, by the monotonic clock: once it is so, it stays so."""
    # A little more while they sleep: a turn waits for its time, and one that failed waits before it tries again. Not while one
    # is at work: its store answers in real time, and a slow one must not bring further slots.
    if bench.clock.sleepers >= len(schedulers):
        await bench.clock.advance(POLL_S)
    return all(s.tick_age_s() < bench.clock.monotonic() - since_s for s in schedulers)


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
