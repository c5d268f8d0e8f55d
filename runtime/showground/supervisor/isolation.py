"""Which isolation level this host gives to app code."""

from __future__ import annotations

import logging
from typing import Literal

from showground.errors import ShowgroundError
from showground.worker.spawning import Level

log = logging.getLogger("showground.isolation")

Wanted = Literal["auto", "none", "process", "confined"]


async def choose_level(wanted: Wanted) -> Level:
    """The level that *wanted* means here. `auto` never fails; `confined` by name fails closed (`misconfigured`)."""
    if wanted == "auto":
        log.warning(
            "app code runs at isolation level process: own processes with limits, but with the host's files and network"
        )
        return "process"
    if wanted == "confined":
        raise ShowgroundError(
            "misconfigured", "the level confined is not available here", "workers.isolation", "Use process."
        )
    return wanted
