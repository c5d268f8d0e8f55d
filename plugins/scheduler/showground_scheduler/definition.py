"""From what an app asks for to a job that can be stored: every rule that needs no store, in one place for all providers."""

from __future__ import annotations

import uuid
from collections.abc import Callable

import msgspec

from showground.capabilities import Job
from showground.errors import ShowgroundError
from showground_scheduler.cron import Cron, zone
from showground_scheduler.options import Options

Parse = Callable[[str, str], Cron]

KEY_CHARACTERS = 128
NAME_CHARACTERS = 128
LAST_MS = 253_370_764_800_000
"""The year 9999; later times do not fit into a datetime."""


def define(job: Job, now_ms: int, parse: Parse, options: Options) -> Job:
    """*job* with an id, its creation time and its first slot. Raises `invalid` or `too_large`."""
    if not 0 < len(job.name) <= NAME_CHARACTERS:
        raise ShowgroundError("invalid", f"a job's name has 1 to {NAME_CHARACTERS} characters", "name")
    if job.cron is not None and job.run_at_ms is not None:
        raise ShowgroundError(
            "invalid", "a job has a crontab or a time, not both", "run_at", "Leave out cron or run_at."
        )
    if job.cron is None and job.run_at_ms is None:
        # Devvit's own text.
        raise ShowgroundError(
            "invalid", "Must include timestamp or crontab with schedule request", "run_job", "Give cron or run_at."
        )
    if job.key is not None and not 0 < len(job.key) <= KEY_CHARACTERS:
        raise ShowgroundError("invalid", f"a key has 1 to {KEY_CHARACTERS} characters", "key")
    size = len(msgspec.json.encode(job.data))
    if size > options.data_bytes:
        raise ShowgroundError(
            "too_large",
            f"the job's data is {size} bytes of JSON, the limit is {options.data_bytes}",
            "data",
            "Keep large data in Redis and give the job its key.",
        )
    first = first_slot(job, now_ms, parse)
    return msgspec.structs.replace(
        job, id=job.id or str(uuid.uuid4()), created_at_ms=now_ms, next_run_ms=first, paused=False
    )


def first_slot(job: Job, now_ms: int, parse: Parse) -> int:
    """The first slot after now. A one-off whose time has passed is due at once, as in Devvit."""
    if job.cron is None:
        assert job.run_at_ms is not None
        zone(job.timezone)
        if not 0 <= job.run_at_ms <= LAST_MS:
            raise ShowgroundError("invalid", "the time is not between 1970 and 9999", "run_at")
        return max(job.run_at_ms, now_ms)
    first = parse(job.cron, job.timezone).next_after(now_ms)
    if first is None:
        raise ShowgroundError("invalid", "Invalid crontab", f"cron {job.cron!r}", "It never fires.")
    return first
