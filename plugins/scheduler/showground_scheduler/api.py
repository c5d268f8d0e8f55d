"""The HTTP API for jobs, below `/api/v1/communities/{community}/apps/{app}/jobs`."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any

import msgspec
from aiohttp import web

from showground.capabilities import SCHEDULER, Job, Scheduler
from showground.errors import ShowgroundError
from showground.hookspecs import Providers, Router
from showground.keys import InstallationId, installation_id
from showground_scheduler.member import HISTORY
from showground_scheduler.records import job_record, outcome_record

BASE = "/api/v1/communities/{community}/apps/{app}/jobs"

Answer = Callable[[Scheduler, InstallationId, web.Request], Awaitable[Any]]


async def _list(scheduler: Scheduler, installation: InstallationId, request: web.Request) -> Any:
    return {"jobs": [job_record(job) for job in await scheduler.list_jobs(installation)]}


async def _show(scheduler: Scheduler, installation: InstallationId, request: web.Request) -> Any:
    return job_record(await _find(scheduler, installation, request.match_info["job"]))


async def _history(scheduler: Scheduler, installation: InstallationId, request: web.Request) -> Any:
    given = request.query.get("limit", "20")
    if not given.isdecimal() or not 1 <= int(given) <= HISTORY:
        raise ShowgroundError("invalid", f"{given!r} is not a number of runs", "limit", f"Use 1 to {HISTORY}.")
    # Runs of a job that has gone (a one-off that fired) are still there to be seen.
    runs = await scheduler.history(installation, request.match_info["job"], int(given))
    return {"runs": [outcome_record(run) for run in runs]}


async def _run(scheduler: Scheduler, installation: InstallationId, request: web.Request) -> Any:
    return {"run": await scheduler.run_now(installation, request.match_info["job"])}


async def _pause(scheduler: Scheduler, installation: InstallationId, request: web.Request) -> Any:
    await scheduler.pause(installation, request.match_info["job"])
    return await _show(scheduler, installation, request)


async def _resume(scheduler: Scheduler, installation: InstallationId, request: web.Request) -> Any:
    await scheduler.resume(installation, request.match_info["job"])
    return await _show(scheduler, installation, request)


async def _cancel(scheduler: Scheduler, installation: InstallationId, request: web.Request) -> Any:
    if not await scheduler.cancel_job(installation, request.match_info["job"]):
        raise _unknown(installation, request.match_info["job"])
    return {"cancelled": request.match_info["job"]}


async def _find(scheduler: Scheduler, installation: InstallationId, job_id: str) -> Job:
    for job in await scheduler.list_jobs(installation):
        if job.id == job_id:
            return job
    raise _unknown(installation, job_id)


def _unknown(installation: InstallationId, job_id: str) -> ShowgroundError:
    return ShowgroundError(
        "not_found", f"{installation} has no job {job_id!r}", "job", "`showground jobs list` shows them."
    )


ROUTES: tuple[tuple[str, str, Answer, str], ...] = (
    ("GET", BASE, _list, "read"),
    ("GET", BASE + "/{job}", _show, "read"),
    ("GET", BASE + "/{job}/history", _history, "read"),
    ("POST", BASE + "/{job}/run", _run, "deploy"),
    ("POST", BASE + "/{job}/pause", _pause, "deploy"),
    ("POST", BASE + "/{job}/resume", _resume, "deploy"),
    ("DELETE", BASE + "/{job}", _cancel, "deploy"),
)


def add_routes(router: Router, providers: Providers) -> None:
    for method, path, answer, scope in ROUTES:
        router(method, path, _handler(answer, providers), scope)


def _handler(answer: Answer, providers: Providers) -> Callable[[web.Request], Awaitable[web.StreamResponse]]:
    async def handle(request: web.Request) -> web.StreamResponse:
        installation = installation_id(request.match_info["app"], request.match_info["community"])
        document = await answer(providers(SCHEDULER), installation, request)
        return web.Response(body=msgspec.json.encode(document), content_type="application/json")

    return handle
