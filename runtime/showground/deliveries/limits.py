"""What an operator may tune about deliveries, and the bounds that hold whatever they choose."""

from __future__ import annotations

from showground.model import Frozen

DAY_MS = 24 * 60 * 60 * 1000
WEEK_MS = 7 * DAY_MS

KEPT_RESULT_BYTES = 16 * 1024
"""A larger result of a handler is not kept with its outcome: `Outcome.result` is then empty."""
HISTORY_OUTCOMES = 50
"""How many outcomes a group remembers, for at most a week."""


class DeliverySettings(Frozen, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The `[deliveries]` section of the settings. Times in seconds."""

    lease_s: float = 30.0
    """How long a claim holds without being renewed; it is renewed at half of this while the handler runs."""
    concurrency: int = 32
    """Deliveries of one installation that run at once, over all hosts."""
    in_flight: int = 512
    """Deliveries that this host runs at once, over all installations."""
    backlog: int = 10_000
    """Deliveries of one installation that may be outstanding; beyond it, enqueueing is refused as `overloaded`."""
    max_attempts: int = 5
    """Tries of one delivery, where neither it nor its trigger or job says otherwise."""
    event_age_s: float = 24 * 3600.0
    """Age at which an event is tried no more."""
    job_age_s: float = 4 * 3600.0
    """The same for a job. Devvit retries a job for up to four hours (Devvit docs, Scheduler)."""
    retry_base_s: float = 5.0
    """Upper bound of the first back-off."""
    retry_factor: float = 4.0
    """By how much the upper bound grows with each try."""
    retry_cap_s: float = 900.0
    """The largest upper bound."""
    dead_letters: int = 1000
    """Dead letters kept for one installation; the oldest gives way to the newest."""
    dead_letter_age_s: float = 14 * 24 * 3600.0
    """How long a dead letter is kept."""
    poll_s: float = 1.0
    """Longest time between two looks at a shard, for the case that a wake-up was missed."""

    @property
    def lease_ms(self) -> int:
        return int(self.lease_s * 1000)

    @property
    def dead_letter_age_ms(self) -> int:
        return int(self.dead_letter_age_s * 1000)
