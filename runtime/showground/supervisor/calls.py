"""What a pool and a worker say to each other about one call, whichever kind of worker it is."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from pathlib import Path
from typing import Any, Protocol

from showground.errors import ShowgroundError
from showground.model import Invocation, Registration
from showground.supervisor.broker import Session
from showground.worker.spawning import Level

log = logging.getLogger("showground.supervisor")

CLOSED = "the host is stopping"
NOT_STARTED = "it was not started"
OVERSTAYED = "it had nothing left to do, and did not end in time"
EXPECTED = frozenset({NOT_STARTED, CLOSED, "its start was given up", "it did not load"})
"""Ends that are no fault of the app, or that were told already."""


STRAYS, STRAYS_S = 200, 10.0
"""Capability calls in so many seconds for invocations that do not run in a worker. A handler that leaves work behind makes a few;
one that guesses the ids of others makes many."""


class Strays:
    """Counts them."""

    def __init__(self) -> None:
        self._count = 0
        self._since = 0.0

    def count(self, now: float) -> None:
        """One more. Raises `protocol_error` when they are too many."""
        if now - self._since > STRAYS_S:
            self._count, self._since = 0, now
        self._count += 1
        if self._count > STRAYS:
            raise ShowgroundError("protocol_error", "it calls for invocations that are not its own")


class Answer(Protocol):
    """Where the answer of a call goes: a future, or a `Told`."""

    def done(self) -> bool: ...

    def set_result(self, result: Any, /) -> None: ...

    def set_exception(self, error: ShowgroundError, /) -> None: ...


OnAnswer = Callable[[Any, ShowgroundError | None], None]
"""(result, None) or (None, error)"""


class Told:
    """Tells *on_answer* at once, where a future would take a turn of the loop and a task to wait for it."""

    __slots__ = ("_on_answer",)

    def __init__(self, on_answer: OnAnswer) -> None:
        self._on_answer: OnAnswer | None = on_answer

    def done(self) -> bool:
        return self._on_answer is None

    def set_result(self, result: Any, /) -> None:
        self._tell(result, None)

    def set_exception(self, error: ShowgroundError, /) -> None:
        self._tell(None, error)

    def cancel(self) -> None:
        """Tell nothing any more."""
        self._on_answer = None

    def _tell(self, result: Any, error: ShowgroundError | None) -> None:
        on_answer, self._on_answer = self._on_answer, None
        if on_answer is not None:
            try:
                on_answer(result, error)
            except Exception:  # it is not the worker's fault, which is being read just now
                log.exception("the answer of a call was not taken")


class Running:
    """One call to a worker that is not answered yet: an invocation, or the load."""

    __slots__ = ("calls", "cancelled_at", "deadline", "future", "invocation", "payload", "session", "worker")

    def __init__(self, invocation: Invocation | None, payload: bytes, future: Answer, deadline: float) -> None:
        self.invocation = invocation
        self.payload = payload
        self.future = future
        self.deadline = deadline
        """On the clock's monotonic time."""
        self.cancelled_at: float | None = None
        self.session: Session | None = None
        self.calls: dict[int, Callable[[], object]] | None = None
        """By its number, what cancels each capability call that is open."""
        self.worker: Worker | None = None
        """None while it waits for one."""


class Worker(Protocol):
    """What a pool needs of a worker, be it a process or in the host."""

    in_flight: int
    idle_since: float
    """On the clock's monotonic time, as is `started_at`."""
    started_at: float
    loaded: bool
    """Whether its pool has used it."""
    ended: asyncio.Future[str]
    """Done, with the reason, when no process of it is left."""

    async def start(self, level: Level, folder: Path) -> Registration: ...

    def run(self, running: Running) -> None:
        """Send one invocation; `running.future` gets its result. Raises `too_large`."""
        ...

    def abandon(self, running: Running) -> None:
        """Nobody waits for *running* any more: cancel it."""
        ...

    def check(self, now: float) -> None:
        """Enforce the deadlines; called every tick."""
        ...

    def drain(self) -> None:
        """Finish what runs, then end; nothing more will be sent."""
        ...

    def kill(self, reason: str) -> None:
        """End now. *reason* is what `OnEnd` tells."""
        ...


OnFree = Callable[[Worker], None]
"""The worker has answered an invocation and could take another."""
OnRetire = Callable[[Worker], None]
"""The worker is going to end by itself and takes nothing more."""
OnEnd = Callable[[Worker, str, bool], None]
"""(worker, reason, whether it was meant to end)"""
