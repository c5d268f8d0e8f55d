"""One attempt at one delivery: from a claim to what is handed in about it."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Mapping
from functools import lru_cache

import msgspec

from showground.clock import Clock
from showground.deliveries.queue import RedisDeliveries
from showground.deliveries.records import (
    decode_delivery,
    encode_letter,
    encode_outcome,
)
from showground.deliveries.retries import RetryPolicy
from showground.deliveries.shard import Ack, Claim, What
from showground.errors import ShowgroundError
from showground.keys import InstallationId, split_installation
from showground.model import Delivery, HostEvent
from showground.tasks import Tasks

log = logging.getLogger("showground.deliveries")

Handle = Callable[[Delivery, int], Awaitable[bytes]]
"""`await handle(delivery, attempt) -> result`. The attempt counts from 1. A `ShowgroundError` is a failed attempt."""
OnAnswer = Callable[[bytes, ShowgroundError | None], None]
"""(result, None) or (anything, error)"""
Begin = Callable[[Delivery, int, OnAnswer], Callable[[], None] | None]
"""`begin(delivery, attempt, on_answer) -> cancel`: a `Handle` that needs no task. None when it cannot be done without waiting:
nothing was begun, and the `Handle` is asked. *on_answer* is called once, later, unless it was cancelled before."""
OnEnd = Callable[["Attempt", Ack | None], None]

_FATES: dict[str, What] = {"again": "r", "again_uncounted": "u", "failed": "t", "dead": "x"}


class Attempts:
    """Runs claims and judges their failures."""

    def __init__(
        self,
        queue: RedisDeliveries,
        handle: Handle,
        begin: Begin | None,
        clock: Clock,
        policy: RetryPolicy,
        tasks: Tasks,
    ) -> None:
        self.handle = handle
        self.begin = begin
        self.clock = clock
        self.policy = policy
        self.tasks = tasks
        self.observe = queue.observe

    def take(self, claim: Claim, claimed_at_ms: int, on_end: OnEnd) -> Attempt:
        """An attempt at *claim*, which was made at *claimed_at_ms* of the queue's time. It runs when it is started."""
        return Attempt(self, claim, claimed_at_ms, on_end)


class Attempt:
    """*on_end* is called once: with what is to be handed in, or with None when the attempt was cancelled."""

    __slots__ = (
        "_age_ms",
        "_attempts",
        "_cancel",
        "_claimed_at_ms",
        "_delivery",
        "_number",
        "_on_end",
        "_started_ms",
        "acknowledged",
        "claim",
        "over",
        "started",
        "task",
    )

    def __init__(self, attempts: Attempts, claim: Claim, claimed_at_ms: int, on_end: OnEnd) -> None:
        self.claim = claim
        self.over = False
        self.acknowledged = False
        """Whether it ended with something to hand in."""
        self.task: asyncio.Task[None] | None = None
        """Where it needs one."""
        self.started = attempts.clock.monotonic()
        self._started_ms = attempts.clock.now_ms()
        self._attempts = attempts
        self._claimed_at_ms = claimed_at_ms
        self._on_end = on_end
        self._cancel: Callable[[], None] | None = None

    def start(self) -> None:
        """Raises nothing. It may be over when this returns."""
        claim, attempts = self.claim, self._attempts
        try:
            delivery = decode_delivery(memoryview(claim.stored)[1:])
        except msgspec.MsgspecError as error:
            # Never written by this version: another program's, or damage. It must not block what waits behind it.
            log.error("the stored delivery %s cannot be read and is dropped: %s", claim.name, error)
            self._finish(self._plain("t"))
            return
        self._delivery = delivery
        attempt, since_ms, _ = claim.token.split(" ")
        self._number = number = int(attempt)
        self._age_ms = age_ms = self._claimed_at_ms - int(since_ms)
        policy = attempts.policy
        if number > policy.max_attempts(delivery):
            self._give_up(
                "worker_died",
                f"the host ended each time while it ran this delivery ({number - 1} attempts)",
                "Look whether the handler takes the host down; then redrive it.",
            )
            return
        if age_ms > policy.max_age_ms(delivery):
            self._give_up(
                "deadline_exceeded",
                f"it waited {age_ms // 1000} s, longer than its age limit of {policy.max_age_ms(delivery) // 1000} s",
                "Look why the installation is behind; then redrive it.",
            )
            return
        if attempts.begin is not None:
            try:
                self._cancel = attempts.begin(delivery, number, self._answered)
            except ShowgroundError as error:
                self._answered(b"", error)
                return
            except Exception as error:
                self._answered(b"", self._fault(error))
                return
        if self._cancel is None:
            self.task = attempts.tasks.start("delivery", self._handle())

    async def _handle(self) -> None:
        try:
            result = await self._attempts.handle(self._delivery, self._number)
        except asyncio.CancelledError:
            self._finish(None)
            raise
        except ShowgroundError as error:
            self._answered(b"", error)
        except Exception as error:
            self._answered(b"", self._fault(error))
        else:
            self._answered(result, None)

    def cancel(self) -> None:
        """Its claim was lost, or is given back: nothing is handed in."""
        if self.task is not None:
            self.task.cancel()
        elif self._cancel is not None and not self.over:
            self._cancel()
            self._finish(None)

    def untouched(self) -> Ack:
        """What gives the claim back as if it had never been made."""
        return self._plain("b")

    # --- how it ends ---

    def _fault(self, error: Exception) -> ShowgroundError:
        log.error("the handler of %s failed in the host", self.claim.name, exc_info=error)
        return ShowgroundError("internal", f"{type(error).__name__}: {error}", self._delivery.name)

    def _answered(self, result: bytes, error: ShowgroundError | None) -> None:
        delivery, number = self._delivery, self._number
        elapsed = self._attempts.clock.monotonic() - self.started
        if error is None:
            self._tell("done", elapsed)
            outcome = encode_outcome(
                delivery.id, "done", number, self._started_ms, self._attempts.clock.now_ms(), result
            )
            self._finish(Ack(self.claim, "t", delivery.group, outcome))
            return
        verdict = self._attempts.policy.judge(delivery, number, self._age_ms + int(elapsed * 1000), error)
        self._tell(verdict.fate if verdict.fate in ("dead", "failed") else "retried", elapsed)
        self._failed(_FATES[verdict.fate], number, error, verdict.delay_ms)

    def _give_up(self, code: str, message: str, remedy: str) -> None:
        self._failed("x", self._number - 1, ShowgroundError(code, message, self._delivery.name, remedy))

    def _failed(self, what: What, attempts: int, error: ShowgroundError, delay_ms: int = 0) -> None:
        delivery = self._delivery
        finished_ms = self._attempts.clock.now_ms()
        outcome = encode_outcome(
            delivery.id, "dead" if what == "x" else "failed", attempts, self._started_ms, finished_ms, error=error
        )
        letter = encode_letter(delivery, outcome) if what == "x" else b""
        self._finish(Ack(self.claim, what, delivery.group, outcome, delay_ms, letter))

    def _plain(self, what: What) -> Ack:
        return Ack(self.claim, what)

    def _finish(self, ack: Ack | None) -> None:
        self.over = True
        self.acknowledged = ack is not None
        self._on_end(self, ack)

    def _tell(self, outcome: str, elapsed_s: float) -> None:
        delivery, observe = self._delivery, self._attempts.observe
        at_ms = self._attempts.clock.now_ms()
        labels = _labels(delivery.installation, delivery.kind, outcome)
        observe(HostEvent(name="delivery", at_ms=at_ms, labels=labels, value=elapsed_s))
        observe(HostEvent(name="delivery_waited", at_ms=at_ms, labels=labels, value=self._age_ms / 1000))


@lru_cache(maxsize=4096)
def _labels(installation: InstallationId, kind: str, outcome: str) -> Mapping[str, str]:
    return {"app": split_installation(installation)[0], "kind": kind, "outcome": outcome}
