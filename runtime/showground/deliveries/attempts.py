"""One attempt at one delivery: from a claim to what is handed in about it."""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Callable

import msgspec

from showground.clock import Clock
from showground.deliveries.queue import RedisDeliveries
from showground.deliveries.records import (
    HEADER_BYTES,
    NOTHING,
    decode_delivery,
    encode_letter,
    encode_outcome,
    error_json,
    packed,
)
from showground.deliveries.retries import RetryPolicy
from showground.deliveries.shard import Ack, Claim, What
from showground.errors import ShowgroundError
from showground.keys import split_installation
from showground.model import Delivery, HostEvent, Outcome

log = logging.getLogger("showground.deliveries")

Handle = Callable[[Delivery, int], Awaitable[bytes]]
"""`await handle(delivery, attempt) -> result`. The attempt counts from 1. A `ShowgroundError` is a failed attempt."""

_FATES: dict[str, What] = {"again": "r", "again_uncounted": "u", "failed": "t", "dead": "x"}


class Attempts:
    """Runs claims and judges their failures."""

    def __init__(self, queue: RedisDeliveries, handle: Handle, clock: Clock, policy: RetryPolicy) -> None:
        self._handle = handle
        self._clock = clock
        self._policy = policy
        self._observe = queue.observe

    async def run(self, claim: Claim, claimed_at_ms: int) -> Ack:
        """Run *claim*, which was made at *claimed_at_ms* of the queue's time. Raises nothing but `CancelledError`."""
        try:
            delivery = decode_delivery(memoryview(claim.stored)[HEADER_BYTES:])
        except msgspec.MsgspecError as error:
            # Never written by this version: another program's, or damage. It must not block what waits behind it.
            log.error("the stored delivery %s cannot be read and is dropped: %s", claim.name, error)
            installation, _, delivery_id = claim.name.partition("|")
            return Ack(installation, delivery_id, claim.token, "t")
        age_ms = claimed_at_ms - int(claim.stored[1:HEADER_BYTES])
        started = self._clock.monotonic()
        started_ms = self._clock.now_ms()
        failure: ShowgroundError | None = None
        result = b""
        if claim.attempt > self._policy.max_attempts(delivery):
            failure = ShowgroundError(
                "worker_died",
                f"the host ended each time while it ran this delivery ({claim.attempt - 1} attempts)",
                delivery.name,
                "Look whether the handler takes the host down; then redrive it.",
            )
        elif age_ms > self._policy.max_age_ms(delivery):
            failure = ShowgroundError(
                "deadline_exceeded",
                f"it waited {age_ms // 1000} s, longer than its age limit of {self._policy.max_age_ms(delivery) // 1000} s",
                delivery.name,
                "Look why the installation is behind; then redrive it.",
            )
        if failure is not None:
            return self._ended(claim, delivery, "x", "dead", claim.attempt - 1, started_ms, failure)
        try:
            result = await self._handle(delivery, claim.attempt)
        except ShowgroundError as error:
            failure = error
        except Exception as error:
            log.exception("the handler of %s failed in the host", claim.name)
            failure = ShowgroundError("internal", f"{type(error).__name__}: {error}", delivery.name)
        elapsed = self._clock.monotonic() - started
        if failure is None:
            ack = self._ended(claim, delivery, "t", "done", claim.attempt, started_ms, None, result)
            self._tell(delivery, "done", elapsed, age_ms)
            return ack
        verdict = self._policy.judge(delivery, claim.attempt, age_ms + int(elapsed * 1000), failure)
        status = "dead" if verdict.fate == "dead" else "failed"
        self._tell(delivery, status if verdict.fate in ("dead", "failed") else "retried", elapsed, age_ms)
        return self._ended(
            claim, delivery, _FATES[verdict.fate], status, claim.attempt, started_ms, failure, b"", verdict.delay_ms
        )

    def _ended(
        self,
        claim: Claim,
        delivery: Delivery,
        what: What,
        status: str,
        attempts: int,
        started_ms: int,
        error: ShowgroundError | None,
        result: bytes = b"",
        delay_ms: int = 0,
    ) -> Ack:
        outcome = encode_outcome(
            Outcome(
                delivery=delivery.id,
                installation=delivery.installation,
                status=status,  # type: ignore[arg-type]  # one of the literals above
                attempts=attempts,
                result=result,
                error=None if error is None else error_json(error),
                started_at_ms=started_ms,
                finished_at_ms=self._clock.now_ms(),
            )
        )
        letter = packed(encode_letter(delivery, outcome)) if what == "x" else NOTHING
        return Ack(
            delivery.installation, delivery.id, claim.token, what, delivery.group, packed(outcome), delay_ms, letter
        )

    def _tell(self, delivery: Delivery, outcome: str, elapsed_s: float, waited_ms: int) -> None:
        labels = {"app": split_installation(delivery.installation)[0], "kind": delivery.kind, "outcome": outcome}
        at_ms = self._clock.now_ms()
        self._observe(HostEvent(name="delivery", at_ms=at_ms, labels=labels, value=elapsed_s))
        self._observe(
            HostEvent(name="delivery_waited", at_ms=at_ms, labels={"kind": delivery.kind}, value=waited_ms / 1000)
        )
