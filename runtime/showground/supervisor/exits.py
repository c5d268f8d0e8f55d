"""Why a worker ended, in words that its author understands."""

from __future__ import annotations

import signal

from showground.model import Limits
from showground.worker import spawning

NOT_CONFINED = "it could not be confined"


def reason(exited: spawning.Exited | None, doom: str | None, limits: Limits) -> str:
    """*doom* is why we killed it, if we did; it counts only when a SIGKILL is what ended the worker."""
    if exited is None:
        return doom or "the process that all workers are forked from ended"
    if exited.signal is not None:
        if exited.signal == signal.SIGKILL:
            return doom or "killed by SIGKILL, by somebody else; perhaps the machine was out of memory"
        return f"killed by {_signal_name(exited.signal)}"
    if exited.code == spawning.EXIT_MEMORY:
        return f"out of memory (limit {limits.memory_mb} MB)"
    if exited.code == spawning.EXIT_CONFINEMENT:
        return NOT_CONFINED
    return f"exit code {exited.code}"


def _signal_name(number: int) -> str:
    try:
        return signal.Signals(number).name
    except ValueError:
        return f"signal {number}"
