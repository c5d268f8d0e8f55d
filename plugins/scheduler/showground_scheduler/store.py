"""Where jobs are kept: what the scheduler asks of a store. Each method is atomic."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass
from typing import Protocol

import msgspec

from showground.capabilities import Job
from showground.errors import ShowgroundError
from showground.keys import InstallationId


class Entry(msgspec.Struct, frozen=True):
    """A stored job. `job.next_run_ms` is its next slot, None while paused."""

    job: Job
    generation: int
    """Grows with every change that is not the passing of a slot; a writer that has seen another one writes nothing."""


@dataclass(frozen=True, slots=True)
class Claim:
    """Due jobs of one shard, which other hosts leave alone for a while."""

    now_ms: int
    """When that was, by the store's time; by it they are due, and `wake_ms` is of it."""
    entries: tuple[Entry, ...]
    wake_ms: int | None
    """When to look again, unless settling the entries makes one due earlier; None when there is no job."""
    full: bool
    """Whether the batch was full, so that more may be due."""


class Move(msgspec.Struct, frozen=True):
    """What becomes of a claimed entry, provided that its generation and next slot are still those of the claim."""

    entry: Entry
    next_ms: int | None
    """The next slot; None deletes the job."""
    wake_ms: int | None = None
    """When to look at it again, if not at the next slot."""


@dataclass(frozen=True, slots=True)
class Quota:
    recurring_jobs: int
    one_off_jobs: int
    creations_per_minute: int = 0
    """0: any number."""


class JobStore(Protocol):
    """All hosts go by the store's time, because their own clocks differ and are set: one whose clock is ahead would take slots
    that are still to come for missed ones.
    """

    @property
    def shards(self) -> int: ...

    async def now_ms(self, installation: InstallationId) -> int:
        """The store's time, where the jobs of *installation* are; milliseconds since 1970."""
        ...

    async def create(self, job: Job, now_ms: int, quota: Quota | None) -> str:
        """Store *job* and return its id: that of the job with the same key, if there is one, which it replaces.

        A replaced job that was paused stays paused; one with the same times keeps its next slot, so that nothing due is lost.
        Errors: `quota_exceeded`, `rate_limited`, `not_found` (the installation was cleared within the last hour).
        """
        ...

    async def get(self, installation: InstallationId, job_id: str) -> Entry | None: ...

    async def is_free(self, installation: InstallationId, job_id: str) -> bool:
        """Whether *installation* may give *job_id* to a job of its own: nobody else has it."""
        ...

    async def all_of(self, installation: InstallationId) -> Sequence[Entry]:
        """In no order."""
        ...

    async def remove(self, installation: InstallationId, job_id: str) -> bool: ...

    async def switch(self, entry: Entry, next_ms: int | None) -> bool:
        """Pause (None) or resume at a slot. False when the entry has changed meanwhile: read it again."""
        ...

    async def keep_static(self, installation: InstallationId, names: Sequence[str]) -> None:
        """Remove static jobs other than *names*, and let the installation have jobs (again)."""
        ...

    async def clear(self, installation: InstallationId) -> None:
        """Forget everything, and refuse new jobs for an hour, so that a call still under way leaves nothing behind."""
        ...

    async def claim(self, shard: int, limit: int, hold_ms: int) -> Claim:
        """Take up to *limit* jobs that are due, oldest first, and hide them from other claims for *hold_ms*."""
        ...

    async def settle(self, shard: int, moves: Sequence[Move]) -> None: ...

    def pokes(self, on_due: Callable[[int, int], None]) -> AbstractAsyncContextManager[None]:
        """While entered, call *on_due* with (shard, time in ms) soon after a job that is due within seconds was stored."""
        ...


def recurring_quota(limit: int) -> ShowgroundError:
    return ShowgroundError(
        "quota_exceeded",
        f"the installation has its {limit} recurring jobs",
        "run_job",
        "Cancel one first, or give a key so that the job replaces its predecessor.",
    )


def one_off_quota(limit: int) -> ShowgroundError:
    return ShowgroundError(
        "quota_exceeded", f"the installation has its {limit} waiting one-off jobs", "run_job", "Cancel some first."
    )


def creation_rate(limit: int, retry_after: float) -> ShowgroundError:
    return ShowgroundError(
        "rate_limited",
        f"the installation has created {limit} jobs within a minute",
        "run_job",
        "Try again later.",
        retry_after=max(0.001, retry_after),
    )


def uninstalled(installation: InstallationId) -> ShowgroundError:
    return ShowgroundError(
        "not_found", f"{installation} has been uninstalled", "run_job", "Install the app again to schedule jobs."
    )
