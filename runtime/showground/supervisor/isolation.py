"""Which isolation level this machine can keep, tried out rather than guessed."""

from __future__ import annotations

import logging
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

import msgspec

from showground.clock import Clock
from showground.errors import ShowgroundError
from showground.keys import InstallationId
from showground.model import AppVersion, Invocation
from showground.supervisor.broker import Broker
from showground.supervisor.supervisor import Supervisor
from showground.worker.spawning import Level

log = logging.getLogger("showground.supervisor")

Wanted = Literal["auto", "none", "process", "confined"]
WALLS = "showground.worker.walls:load_bundle"


@dataclass(frozen=True, slots=True)
class Isolation:
    """The level at work, and how it was come by; printed at start, and in `/readyz` and `showground doctor`."""

    level: Level
    walls: Mapping[str, bool] = field(default_factory=dict)
    """What the self-test of `confined` tried, and whether each wall held; empty when it could not even be built."""
    reason: str = ""
    """Why the level is weaker than `confined`; empty when it is not."""


async def choose(wanted: Wanted, clock: Clock) -> Isolation:
    """The level to run at. `auto`: `confined` if its self-test passes, else `process`, with a warning in the log.

    `confined` by name fails closed: raises `misconfigured` when a wall cannot be built or does not hold.
    """
    if wanted == "none":
        return Isolation("none", reason="asked for: apps run in the host itself and can do whatever it can")
    if wanted == "process":
        return Isolation("process", reason="asked for: apps can read files and reach the network as the host can")
    try:
        walls = await self_test(clock)
        broken = ", ".join(name for name, held in walls.items() if not held)
        reason = f"these walls do not hold: {broken}" if broken else ""
    except ShowgroundError as error:
        walls, reason = {}, error.message
    if not reason:
        return Isolation("confined", walls)
    if wanted == "confined":
        raise ShowgroundError(
            "misconfigured",
            f"the isolation level confined does not work on this machine: {reason}",
            "isolation",
            "Use a kernel with Landlock, seccomp and user namespaces, or choose `process` knowingly.",
        )
    log.warning(
        "Isolation is only at the level process: apps can read files and reach the network as this user can. "
        "Install only apps that you trust. (%s)",
        reason,
    )
    return Isolation("process", walls, reason)


async def self_test(clock: Clock) -> Mapping[str, bool]:
    """Confine a worker as every app is confined, and let it try to get out. Raises `misconfigured` when it can't be confined."""
    said: list[str] = []

    class Nothing:
        def context(self, *_: object) -> None:
            """The self-test calls nothing."""

    with tempfile.TemporaryDirectory(prefix="showground-walls-") as folder:
        app = AppVersion(app="self-test", version="1", digest="self-test", entry="-")
        invocation = Invocation(
            id="self-test",
            installation=InstallationId("self-test:host"),
            app="self-test",
            app_version="1",
            community="host",
            kind="trigger",
            name="walls",
            timeout_s=5.0,
        )
        async with Supervisor(
            Broker(Nothing()), clock, lambda record: said.append(record.text), level="confined", loader=WALLS
        ) as supervisor:
            try:
                answer = await supervisor.invoke(app, Path(folder), invocation, b"")
            except ShowgroundError as error:
                raise ShowgroundError("misconfigured", said[0] if said else error.message, "isolation") from error
    return msgspec.json.decode(answer, type=dict[str, bool])
