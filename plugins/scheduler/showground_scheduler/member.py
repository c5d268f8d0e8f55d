"""`context.scheduler`: what an app may do with the jobs of its own installation."""

from __future__ import annotations

from collections.abc import Mapping
from difflib import get_close_matches
from typing import Any

from showground.capabilities import Scheduler
from showground.errors import ShowgroundError
from showground.hookspecs import Method
from showground.model import AppVersion, Invocation
from showground_scheduler.records import job_record, outcome_record, read_request

HISTORY = 100
"""The most runs that one call gives."""


def methods(invocation: Invocation, app: AppVersion, scheduler: Scheduler) -> Mapping[str, Method]:
    """The methods of one invocation. They see the jobs of its installation and no others."""
    installation = invocation.installation

    async def run_job(request: object) -> str:
        job = read_request(installation, request)
        known = [spec.name for spec in app.registration.jobs]
        if job.name not in known:
            near = get_close_matches(job.name, known, 1)
            # Devvit says the same, but only when the job runs.
            raise ShowgroundError(
                "not_found",
                f"Job {job.name} not found",
                "run_job",
                f"Did you mean {near[0]}?" if near else f"{app.app} has registered: {', '.join(known) or 'no job'}.",
            )
        return await scheduler.run_job(job)

    async def cancel_job(job_id: object) -> bool:
        return await scheduler.cancel_job(installation, _text(job_id))

    async def list_jobs() -> list[dict[str, Any]]:
        return [job_record(job) for job in await scheduler.list_jobs(installation)]

    async def pause(job_id: object) -> None:
        await scheduler.pause(installation, _text(job_id))

    async def resume(job_id: object) -> None:
        await scheduler.resume(installation, _text(job_id))

    async def run_now(job_id: object) -> str:
        return await scheduler.run_now(installation, _text(job_id))

    async def history(job_id: object, limit: object = 20) -> list[dict[str, Any]]:
        if not isinstance(limit, int) or not 1 <= limit <= HISTORY:
            raise ShowgroundError("invalid", f"{limit!r} is not a number of runs", "limit", f"Use 1 to {HISTORY}.")
        return [outcome_record(run) for run in await scheduler.history(installation, _text(job_id), limit)]

    return {
        "run_job": run_job,
        "cancel_job": cancel_job,
        "list_jobs": list_jobs,
        "pause": pause,
        "resume": resume,
        "run_now": run_now,
        "history": history,
    }


def _text(job_id: object) -> str:
    if not isinstance(job_id, str):
        raise ShowgroundError(
            "invalid", f"a job's id is a string, not {type(job_id).__name__}", "job_id", "Use what run_job returned."
        )
    return job_id
