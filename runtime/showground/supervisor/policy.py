"""The supervisor's bounds and times, in one place; the operator's settings may replace each."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Policy:
    in_flight: int = 64
    """Invocations at once in one worker."""
    queued: int = 256
    """Invocations that wait for a worker of one app version; the next is refused with `overloaded`."""
    idle_s: float = 300.0
    """A worker that was not used for so long is ended."""
    grace_s: float = 0.25
    """From the cancellation of a handler past its deadline to SIGKILL."""
    tick_s: float = 0.05
    """How exactly deadlines are kept."""
    backoff_s: float = 0.1
    """Pause after the first failure; doubles with every further one in a row, with jitter between half and whole."""
    backoff_max_s: float = 30.0
    healthy_s: float = 10.0
    """A worker that lived so long was no part of a crash loop."""
    patience_s: float = 1.0
    """Callers wait for a restart that is at most so far away; otherwise they are told when to come back."""
    drain_s: float = 30.0
    """How long a drained worker may take to finish what runs."""
    spawn_s: float = 5.0
    """How long the zygote may take to fork, or to start; what comes of being late stands at `Zygote`."""
    end_s: float = 10.0
    """How long the zygote may take to end its workers and itself. Only one that hangs takes long; what its workers started in
    sessions of their own outlives its SIGKILL."""
