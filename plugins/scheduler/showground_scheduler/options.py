"""The `[scheduler]` section of the settings."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any

import msgspec

from showground.errors import ShowgroundError
from showground.model import Frozen

Count = Annotated[int, msgspec.Meta(ge=1)]
Seconds = Annotated[float, msgspec.Meta(gt=0)]


class Options(Frozen, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Quotas are per installation. The first two defaults are Devvit's (developers.reddit.com, "Scheduler: limitations")."""

    recurring_jobs: Count = 10
    """Live recurring jobs, those of the manifest and paused ones included."""
    creations_per_minute: Count = 60
    """Calls of `run_job` in any 60 s, upserts included."""
    one_off_jobs: Count = 1000
    """One-off jobs that have not fired yet."""
    data_bytes: Count = 64 * 1024
    """Of one job's `data`, as JSON."""
    misfire_grace_s: Seconds = 60.0
    """A slot that is later than this was missed, and the job's `misfire` policy applies; until then it is only late."""
    catch_up: Count = 100
    """Slots that `misfire="all"` makes up for after one outage: the oldest; the rest is dropped."""
    claim_s: Seconds = 2.0
    """How long other hosts leave a due job to the host that took it. Only spares work: nothing is wrong when it runs out."""
    batch: Annotated[int, msgspec.Meta(ge=1, le=2000)] = 200
    """Due jobs taken at once from one shard."""
    poll_s: Annotated[float, msgspec.Meta(ge=0.001, le=1.0)] = 1.0
    """The longest sleep of the loop, for what a lost Pub/Sub message would have told."""

    @classmethod
    def read(cls, section: Mapping[str, Any]) -> Options:
        """From the settings; raises `misconfigured`."""
        try:
            return msgspec.convert(dict(section), cls)
        except msgspec.ValidationError as error:
            raise ShowgroundError(
                "misconfigured", str(error), "scheduler", "See docs/scheduler.md for the options."
            ) from error
