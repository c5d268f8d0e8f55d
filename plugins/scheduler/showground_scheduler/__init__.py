"""The built-in scheduler plugin: turns time into deliveries, each slot once, whichever host is first.

Running a delivery, retrying it and keeping its outcome is the work of the delivery queue. See docs/scheduler.md.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Awaitable, Sequence

from showground.capabilities import SCHEDULER
from showground.errors import Problem, ShowgroundError
from showground.hookspecs import Commands, Extend, Offer, Providers, Router, hookimpl
from showground.model import AppVersion, Installation, Invocation, Registration
from showground_scheduler.cron import Cron
from showground_scheduler.member import methods
from showground_scheduler.redis_store import PERMANENT
from showground_scheduler.scheduler import memory_scheduler, redis_scheduler


@hookimpl
def provide(offer: Offer) -> None:
    offer(SCHEDULER, "redis", redis_scheduler)
    offer(SCHEDULER, "memory", memory_scheduler)
    offer.permanent(*PERMANENT)


@hookimpl
def registered(app: AppVersion, registration: Registration) -> Sequence[Problem]:
    """Refuse static jobs that could never run: no such job, not a crontab, no such zone, declared twice."""
    problems = []
    known = {job.name for job in registration.jobs}
    times = Counter(job.name for job in registration.static_jobs)
    for number, job in enumerate(registration.static_jobs):
        where = f"app.json/jobs/{number}"
        by = f"scheduler: app {app.app}, job {job.name!r}"
        if job.name not in known:
            remedy = f'Register it with @Devvit.add_scheduler_job("{job.name}"), or remove it from app.json.'
            problems.append(Problem(where, f"{by}: the app has no such job", remedy))
        if times[job.name] > 1:
            problems.append(Problem(where, f"{by} is declared {times[job.name]} times", "Give each its own name."))
        try:
            Cron.parse(job.cron, job.timezone)
        except ShowgroundError as error:
            problems.append(
                Problem(f"{where}/{error.where.split()[0]}", f"{by}: {error.message}: {job.cron}", error.remedy)
            )
    return problems


@hookimpl
def installed(installation: Installation, providers: Providers) -> Awaitable[None]:
    return providers(SCHEDULER).sync_static(installation)


@hookimpl
def upgraded(installation: Installation, previous: Installation, providers: Providers) -> Awaitable[None]:
    return providers(SCHEDULER).sync_static(installation)


@hookimpl
def uninstalled(installation: Installation, providers: Providers) -> Awaitable[None]:
    return providers(SCHEDULER).clear(installation.id)


@hookimpl
def context(invocation: Invocation, app: AppVersion, extend: Extend, providers: Providers) -> None:
    extend("scheduler", methods(invocation, app, providers(SCHEDULER)), needs="scheduler")


@hookimpl
def routes(router: Router, providers: Providers) -> None:
    # Imported here: the command line loads plugins too, and needs no web server.
    from showground_scheduler.api import add_routes

    add_routes(router, providers)


@hookimpl
def commands(cli: Commands) -> None:
    # Not called commands: a module of that name would take the place of this hook when it is imported.
    from showground_scheduler.console import jobs

    cli(jobs)
