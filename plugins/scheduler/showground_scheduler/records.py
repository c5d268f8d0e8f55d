"""Jobs and their runs as maps, for the worker protocol and for the HTTP API alike. Times are milliseconds since 1970 UTC."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import msgspec

from showground.capabilities import Job
from showground.errors import ShowgroundError
from showground.keys import InstallationId
from showground.model import Frozen, Json, Misfire, Outcome, Overlap


class Request(Frozen, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What `run_job` is given."""

    name: str
    cron: str | None = None
    run_at_ms: int | None = None
    data: Mapping[str, Json] | None = None
    key: str | None = None
    timezone: str = "UTC"
    misfire: Misfire = "run_once"
    overlap: Overlap = "skip"


def read_request(installation: InstallationId, given: object) -> Job:
    """The job that is asked for; raises `invalid` for what is no request. Whether its times are right is checked later."""
    try:
        request = msgspec.convert(given, Request)
    except msgspec.ValidationError as error:
        raise ShowgroundError(
            "invalid", str(error), "run_job", "See docs/scheduler.md for what run_job takes."
        ) from error
    fields = {name: getattr(request, name) for name in request.__struct_fields__}
    return Job(id="", installation=installation, **fields)


def job_record(job: Job) -> dict[str, Any]:
    """Every field, defaults too, so that readers need not know them."""
    return {name: getattr(job, name) for name in job.__struct_fields__ if name != "installation"}


def outcome_record(outcome: Outcome) -> dict[str, Any]:
    job, _, slot = outcome.delivery.partition("@")
    return {
        "run": outcome.delivery,
        "job": job,
        "scheduled_at_ms": int(slot) if slot.isdigit() else None,
        "status": outcome.status,
        "attempts": outcome.attempts,
        "result": msgspec.json.decode(outcome.result) if outcome.result else None,
        "error": outcome.error,
        "started_at_ms": outcome.started_at_ms,
        "finished_at_ms": outcome.finished_at_ms,
    }
