"""`showground jobs …`: see and steer the jobs of one installation."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from typing import Any, TypeVar

import click

from showground.hookspecs import Session

F = TypeVar("F", bound=Callable[..., None])


def _of_installation(function: F) -> F:
    function = click.option("--app", required=True, help="The app's name.")(function)
    return click.option("--community", required=True, help="The community it is installed in.")(function)


def _of_job(function: Callable[..., None]) -> Callable[..., None]:
    return click.argument("job")(_of_installation(click.pass_obj(function)))


def _path(community: str, app: str, *more: str) -> str:
    return "/".join((f"/api/v1/communities/{community}/apps/{app}/jobs", *more))


def _time(at_ms: int | None) -> str:
    if not at_ms:
        return "-"
    return datetime.fromtimestamp(at_ms / 1000, UTC).isoformat(sep=" ", timespec="seconds").removesuffix("+00:00") + "Z"


def _line(job: Mapping[str, Any]) -> str:
    times = f"{job['cron']} ({job['timezone']})" if job["cron"] else f"once at {_time(job['run_at_ms'])}"
    state = "paused" if job["paused"] else f"next {_time(job['next_run_ms'])}"
    marks = " static" if job["static"] else f" key={job['key']}" if job["key"] else ""
    return f"{job['id']}  {job['name']}  {times}  {state}{marks}"


@click.group()
def jobs() -> None:
    """See and steer scheduled jobs."""


@jobs.command("list")
@_of_installation
@click.pass_obj
def list_(session: Session, community: str, app: str) -> None:
    """Every job, by its next run."""
    document = session.get(_path(community, app))
    session.show(document, "\n".join(map(_line, document["jobs"])) or "No jobs.")


@jobs.command()
@_of_job
def show(session: Session, job: str, community: str, app: str) -> None:
    """All that is known of JOB."""
    document = session.get(_path(community, app, job))
    times = ("run_at_ms", "next_run_ms", "created_at_ms")
    rows = {k.removesuffix("_ms"): _time(v) if k in times else v for k, v in document.items() if v is not None}
    session.show(document, "\n".join(f"{name:12} {value}" for name, value in rows.items()))


@jobs.command()
@click.option("--limit", default=20, show_default=True, type=click.IntRange(1, 100))
@_of_job
def history(session: Session, job: str, limit: int, community: str, app: str) -> None:
    """How the last runs of JOB ended, newest first."""
    document = session.get(_path(community, app, job, "history"), limit=limit)
    lines = []
    for run in document["runs"]:
        error = f"  {run['error'].get('code')}: {run['error'].get('message')}" if run["error"] else ""
        slot = _time(run["scheduled_at_ms"]) if run["scheduled_at_ms"] else "extra run"
        lines.append(
            f"{slot}  {run['status']}  attempts={run['attempts']}  ended {_time(run['finished_at_ms'])}{error}"
        )
    session.show(document, "\n".join(lines) or "No runs.")


@jobs.command()
@_of_job
def run(session: Session, job: str, community: str, app: str) -> None:
    """Run JOB once now, outside of its schedule."""
    document = session.post(_path(community, app, job, "run"))
    session.show(document, f"enqueued {document['run']}")


@jobs.command()
@_of_job
def pause(session: Session, job: str, community: str, app: str) -> None:
    """Let JOB fire no more until it is resumed."""
    document = session.post(_path(community, app, job, "pause"))
    session.show(document, _line(document))


@jobs.command()
@_of_job
def resume(session: Session, job: str, community: str, app: str) -> None:
    """Let JOB fire again from its next slot on."""
    document = session.post(_path(community, app, job, "resume"))
    session.show(document, _line(document))


@jobs.command()
@_of_job
def cancel(session: Session, job: str, community: str, app: str) -> None:
    """Remove JOB. A run that was enqueued already still happens."""
    document = session.delete(_path(community, app, job))
    session.show(document, f"cancelled {job}")
