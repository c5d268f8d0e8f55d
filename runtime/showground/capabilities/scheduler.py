"""Jobs, and the slots at which they fire."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Protocol

from showground.keys import CapabilityKey, InstallationId
from showground.model import Frozen, Installation, Json, Misfire, Outcome, Overlap


class Job(Frozen, frozen=True, kw_only=True):
    """One scheduled job. Exactly one of `cron` and `run_at_ms` is set."""

    id: str
    name: str
    installation: InstallationId
    cron: str | None = None
    run_at_ms: int | None = None
    timezone: str = "UTC"
    data: Mapping[str, Json] | None = None
    key: str | None = None
    misfire: Misfire = "run_once"
    overlap: Overlap = "skip"
    paused: bool = False
    next_run_ms: int | None = None
    static: bool = False
    created_at_ms: int = 0


class Scheduler(Protocol):
    """Turns time into deliveries: at each slot of a job exactly one `Delivery` with id `job@slot_ms` is enqueued, however many
    hosts run. Running it, retrying it and burying it is the delivery queue's work."""

    async def run_job(self, job: Job) -> str:
        """Store *job* (its `id` empty: a UUID is made) and return its id. With `key`, the job of that key is replaced.

        Errors: `invalid` (`Invalid crontab`, no or both times, time zone), `quota_exceeded` (10 live recurring jobs;
        60 creations per minute: `rate_limited`). The job name is checked by the host before.
        """
        ...

    async def cancel_job(self, installation: InstallationId, job_id: str) -> bool:
        """Whether there was such a job. A slot that was enqueued already still runs.

        Errors: `forbidden` for a static job (`Unable to cancel action.`).
        """
        ...

    async def list_jobs(self, installation: InstallationId) -> Sequence[Job]:
        """By next run, then by id; paused and finished ones last."""
        ...

    async def pause(self, installation: InstallationId, job_id: str) -> None:
        """Fire no more. Idempotent. Errors, here and below: `not_found` when the installation has no such job."""
        ...

    async def resume(self, installation: InstallationId, job_id: str) -> None:
        """Continue from the next slot after now; slots that passed while paused are not made up for, but a one-off whose time
        has passed is due at once. Idempotent."""
        ...

    async def run_now(self, installation: InstallationId, job_id: str) -> str:
        """Enqueue one extra run at once, outside the schedule; returns its delivery id. Errors: `conflict` when `overlap` is
        `skip` and a run is outstanding."""
        ...

    async def history(self, installation: InstallationId, job_id: str, limit: int = 20) -> Sequence[Outcome]:
        """Newest first; bounded in number and age."""
        ...

    async def sync_static(self, installation: Installation) -> None:
        """Make the static jobs of the manifest be exactly those of this installation. Idempotent."""
        ...

    async def load(self, job: Job) -> str:
        """Store a job as `list_jobs` gave it, for an import; returns its id. No creation rate applies, the other quotas do.

        It keeps its id, unless another installation has it, its creation time, and whether it is paused; its next slot is
        counted from now. Of a static job only `paused` is taken over, by name: the rest is the manifest's. Errors: as `run_job`.
        """
        ...

    async def clear(self, installation: InstallationId) -> None:
        """Forget all jobs of the installation, and refuse new ones (`not_found`) for an hour or until `sync_static`, so that a
        call still under way leaves nothing behind."""
        ...

    def tick_age_s(self) -> float:
        """Seconds since the loop last finished a turn; `/readyz` goes red when it grows past its limit."""
        ...


SCHEDULER: CapabilityKey[Scheduler] = CapabilityKey("scheduler")
