"""What `doctor` says of this machine's walls: the self-test of a start, then the escape suite."""

from __future__ import annotations

import time
from collections.abc import AsyncIterator, Sequence
from typing import TYPE_CHECKING

from showground.cli.findings import Finding, Status
from showground.errors import ShowgroundError

if TYPE_CHECKING:
    from showground.escapes import Outcome
    from showground.supervisor.isolation import Wanted

NEEDS = "It needs Linux with Landlock, seccomp, and either root or user namespaces."


async def isolation(wanted: Wanted) -> AsyncIterator[Finding]:
    """Whether `confined` works here, and what got out of it. No attempts are made where it can't even be built."""
    from showground.clock import SystemClock
    from showground.escapes import attempt_escapes
    from showground.supervisor.isolation import self_test

    weak: Status = "fail" if wanted == "confined" else "warn"
    try:
        walls = await self_test(SystemClock())
    except ShowgroundError as error:
        yield Finding("isolation", weak, f"confined does not work here: {error.message}", NEEDS)
        return
    broken = [name for name, held in walls.items() if not held]
    if broken:
        text = f"confined works, but these walls do not hold: {', '.join(broken)}"
        yield Finding("isolation", weak, text, NEEDS)
    elif wanted in ("none", "process"):
        text = f"the settings ask for {wanted}, and confined would work"
        yield Finding(
            "isolation", "warn", text, "Install only apps that you trust, or take isolation out of the settings."
        )
    else:
        yield Finding("isolation", "ok", f"confined; these walls hold: {', '.join(walls)}")
    began = time.monotonic()
    try:
        outcomes = await attempt_escapes(SystemClock())
    except ShowgroundError as error:
        yield Finding.of("escapes", error)
        return
    for finding in escapes(outcomes, time.monotonic() - began):
        yield finding


def escapes(outcomes: Sequence[Outcome], took_s: float) -> list[Finding]:
    """One line for the whole suite, and one for each attempt that got out."""
    out = [outcome for outcome in outcomes if not outcome.held]
    text = f"{len(outcomes)} attempts to get out of a confined worker in {took_s:.1f} s: "
    if not out:
        return [Finding("escapes", "ok", f"{text}all held")]
    summary = Finding("escapes", "fail", f"{text}{len(outcomes) - len(out)} held, {len(out)} got out")
    named = [Finding(f"escape: {o.group}: {o.name}", "fail", o.text, o.remedy) for o in out]
    return [summary, *named]
