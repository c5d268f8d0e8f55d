"""Whether a delivery that failed is tried again, and when."""

from __future__ import annotations

import random
from dataclasses import dataclass
from typing import Literal

from showground.deliveries.limits import DeliverySettings
from showground.errors import ShowgroundError
from showground.model import Delivery

NOT_STARTED = frozenset({"overloaded", "not_ready"})
"""How the host refuses before any code of the app runs: no attempt is used up, only time. A handler that lets such an error of a
capability through has used up one."""


@dataclass(frozen=True, slots=True)
class Verdict:
    """What becomes of a delivery whose attempt failed."""

    fate: Literal["again", "again_uncounted", "failed", "dead"]
    delay_ms: int = 0


class RetryPolicy:
    """Exponential back-off with full jitter: the wait before try n+1 is uniform between 0 and `base * factor ** (n - 1)`,
    at most `cap` (AWS Architecture Blog, "Exponential Backoff And Jitter"). A `retry_after` of the error is a lower bound.

    A trigger is tried again whatever the error, as AWS Lambda does for asynchronous invocations. A job whose own code raised
    (`app_error`) has completed and `failed`, as in Devvit; every other error of a job is tried again. A job that names
    `max_attempts` itself asks for retries, and gets them for `app_error` too.
    """

    def __init__(self, settings: DeliverySettings, rng: random.Random | None = None) -> None:
        self._settings = settings
        self._rng = rng if rng is not None else random.Random()  # noqa: S311 - jitter, no secret

    def max_attempts(self, delivery: Delivery) -> int:
        return delivery.max_attempts or self._settings.max_attempts

    def max_age_ms(self, delivery: Delivery) -> int:
        if delivery.max_age_s is not None:
            return int(delivery.max_age_s * 1000)
        return int(1000 * (self._settings.job_age_s if delivery.kind == "job" else self._settings.event_age_s))

    def judge(self, delivery: Delivery, attempt: int, age_ms: int, error: ShowgroundError) -> Verdict:
        """*attempt* counts from 1; *age_ms* is the time since the delivery was due or enqueued, whichever was later."""
        if delivery.kind == "job" and error.code == "app_error" and delivery.max_attempts is None:
            return Verdict("failed")
        if error.code in NOT_STARTED and not error.begun:
            delay = int(1000 * (error.retry_after or 1.0) * self._rng.uniform(1.0, 2.0))
            return self._within_age(delivery, age_ms, Verdict("again_uncounted", delay))
        if attempt >= self.max_attempts(delivery):
            return Verdict("dead")
        floor = 1000 * (error.retry_after or 0.0)
        delay = int(max(floor, self._rng.uniform(0.0, self.bound_ms(attempt))))
        return self._within_age(delivery, age_ms, Verdict("again", delay))

    def bound_ms(self, attempt: int) -> float:
        """The upper bound of the wait after *attempt*."""
        settings = self._settings
        return 1000 * min(settings.retry_cap_s, settings.retry_base_s * settings.retry_factor ** min(attempt - 1, 30))

    def _within_age(self, delivery: Delivery, age_ms: int, verdict: Verdict) -> Verdict:
        return verdict if age_ms + verdict.delay_ms <= self.max_age_ms(delivery) else Verdict("dead")
