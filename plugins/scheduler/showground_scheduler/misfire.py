"""Which slots a due job fires, and when it is due again: pure, and a function of what is stored and of the time alone."""

from __future__ import annotations

from collections.abc import Callable

import msgspec

from showground.capabilities import Job

NextAfter = Callable[[int], int | None]


class Firing(msgspec.Struct, frozen=True):
    slots: tuple[int, ...]
    """To enqueue, in order."""
    next_ms: int | None
    """The next slot; None when the job is finished."""
    dropped: bool = False
    """Whether slots were missed that nothing makes up for."""


def fire(job: Job, slot_ms: int, now_ms: int, next_after: NextAfter, grace_ms: int, catch_up: int) -> Firing:
    """What to do at *now_ms* with a job whose next slot, *slot_ms*, has come.

    A slot within the grace is late, and fires whatever the policy. An older one was missed: `run_once` fires the oldest
    missed slot for all of them, `skip` fires none of them, `all` fires them in order, at most *catch_up*.

    `run_once` takes the oldest because it is the one that is stored: hosts whose clocks differ then name the same slot.
    """
    missed = now_ms - slot_ms > grace_ms
    if job.cron is None:
        lost = missed and job.misfire == "skip"
        return Firing((), None, dropped=True) if lost else Firing((slot_ms,), None)
    if missed and job.misfire == "run_once":
        return Firing((slot_ms,), next_after(now_ms))
    following: int | None = slot_ms
    if missed and job.misfire == "skip":
        following = next_after(now_ms - grace_ms - 1)
    slots: list[int] = []
    while following is not None and following <= now_ms and len(slots) < catch_up:
        slots.append(following)
        following = next_after(following)
    if missed and job.misfire == "all" and following is not None and following <= now_ms:
        return Firing(tuple(slots), next_after(now_ms), dropped=True)
    return Firing(tuple(slots), following, dropped=missed and job.misfire == "skip")
