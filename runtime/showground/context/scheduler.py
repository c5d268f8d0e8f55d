"""`context.scheduler`: plan jobs that the app registered with `add_scheduler_job`."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from showground.context.call import Call
from showground.errors import ShowgroundError
from showground.model import Json, Misfire, Overlap


@dataclass(frozen=True, slots=True)
class ScheduledJob:
    """A job as `list_jobs` tells it. Exactly one of `cron` and `run_at` is set; times are in UTC."""

    id: str
    name: str
    data: Mapping[str, Json] | None
    cron: str | None
    run_at: datetime | None
    timezone: str
    next_run: datetime | None
    """None while paused."""
    paused: bool
    key: str | None
    misfire: Misfire
    overlap: Overlap
    static: bool
    """Declared in app.json; it cannot be cancelled, only paused."""


@dataclass(frozen=True, slots=True)
class JobRun:
    """How one run ended. `scheduled_at` is None for an extra run (`run_now`)."""

    id: str
    """The idempotency key that the handler saw."""
    scheduled_at: datetime | None
    status: str
    """`done`, `failed` (and tried again), `dead` (given up) or `skipped` (one was still running)."""
    attempts: int
    result: Json
    error: Mapping[str, Json] | None
    started_at: datetime | None
    finished_at: datetime | None


class Scheduler:
    """Built with the invocation's call. Sees the jobs of this installation only."""

    __slots__ = ("_call",)

    def __init__(self, call: Call) -> None:
        self._call = call

    async def run_job(
        self,
        *,
        name: str,
        cron: str | None = None,
        run_at: datetime | None = None,
        data: Mapping[str, Any] | None = None,
        key: str | None = None,
        timezone: str = "UTC",
        misfire: Misfire = "run_once",
        overlap: Overlap = "skip",
    ) -> str:
        """Plan job *name* for each time of *cron* (five fields, or six with seconds first), or once *at run_at*.

        A *run_at* in the past runs at once. With *key*, the job replaces the one of that key and keeps its id, so it may be
        called at every install and upgrade. The handler gets `name`, `data`, `job_id`
        and `scheduled_at_ms`, at least once per slot.

        *misfire* says what becomes of slots that passed while no host ran: one run for all, none, or each (the oldest 100).
        *overlap* says what a slot does while a run of the same job is outstanding: `skip`, `queue` behind it, or `allow` both.

        Errors: `not_found` (the app has no such job), `invalid` (`Invalid crontab`; neither or both times; a datetime without
        a zone), `too_large` (data), `quota_exceeded` (10 live recurring jobs), `rate_limited` (60 a minute).
        """
        if run_at is not None and not isinstance(run_at, datetime):
            raise ShowgroundError(
                "invalid", f"run_at is a {type(run_at).__name__}, not a datetime", "run_at", "Use datetime.now(UTC) + …"
            )
        if run_at is not None and run_at.utcoffset() is None:
            raise ShowgroundError(
                "invalid",
                f"run_at={run_at.isoformat()} has no time zone, so it is no moment",
                "run_at",
                "Use an aware datetime: datetime.now(UTC) + timedelta(minutes=5).",
            )
        request: dict[str, object] = {
            "name": name,
            "cron": cron,
            "run_at_ms": None if run_at is None else int(run_at.timestamp() * 1000),
            "data": None if data is None else dict(data),
            "key": key,
            "timezone": timezone,
            "misfire": misfire,
            "overlap": overlap,
        }
        return str(await self._call("scheduler", "run_job", request))

    async def cancel_job(self, job_id: str) -> bool:
        """Remove a job; False when there is none (in Devvit: a silent no-op). A run that was enqueued already still happens.

        Errors: `forbidden` (`Unable to cancel action.`) for a job that app.json declares.
        """
        return bool(await self._call("scheduler", "cancel_job", job_id))

    async def list_jobs(self) -> Sequence[ScheduledJob]:
        """All jobs of the installation that are to come, by next run; paused ones last."""
        return [_job(record) for record in await self._call("scheduler", "list_jobs")]

    async def pause(self, job_id: str) -> None:
        """Let it fire no more. Idempotent. Errors: `not_found`."""
        await self._call("scheduler", "pause", job_id)

    async def resume(self, job_id: str) -> None:
        """Fire again from the next slot on; slots that passed meanwhile are not made up for, but a one-off is due at once."""
        await self._call("scheduler", "resume", job_id)

    async def run_now(self, job_id: str) -> str:
        """Enqueue an extra run, also of a paused job; returns its idempotency key. Errors: `not_found`, `conflict` (overlap)."""
        return str(await self._call("scheduler", "run_now", job_id))

    async def history(self, job_id: str, limit: int = 20) -> Sequence[JobRun]:
        """How the last runs ended, newest first; at most 100."""
        return [_run(record) for record in await self._call("scheduler", "history", job_id, limit)]


def _time(at_ms: int | None) -> datetime | None:
    return None if not at_ms else datetime.fromtimestamp(at_ms / 1000, UTC)


def _job(record: Mapping[str, Any]) -> ScheduledJob:
    return ScheduledJob(
        id=record["id"],
        name=record["name"],
        data=record["data"],
        cron=record["cron"],
        run_at=_time(record["run_at_ms"]),
        timezone=record["timezone"],
        next_run=_time(record["next_run_ms"]),
        paused=record["paused"],
        key=None if record["static"] else record["key"],
        misfire=record["misfire"],
        overlap=record["overlap"],
        static=record["static"],
    )


def _run(record: Mapping[str, Any]) -> JobRun:
    return JobRun(
        id=record["run"],
        scheduled_at=_time(record["scheduled_at_ms"]),
        status=record["status"],
        attempts=record["attempts"],
        result=record["result"],
        error=record["error"],
        started_at=_time(record["started_at_ms"]),
        finished_at=_time(record["finished_at_ms"]),
    )
