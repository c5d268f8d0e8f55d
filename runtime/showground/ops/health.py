"""Is the host alive, and may it be sent work: `/healthz` and `/readyz`."""

from __future__ import annotations

import logging
from collections import deque
from collections.abc import Callable, Mapping
from types import TracebackType
from typing import Self

from showground.clock import Clock
from showground.errors import ShowgroundError
from showground.model import Frozen
from showground.ops.stalls import StallWatch
from showground.redis.api import Redis
from showground.tasks import Tasks

log = logging.getLogger("showground.ops.health")

PING_S = 1.0
REDIS_AWAY_S = 5.0
BEAT_S = 0.25
LAG_WINDOW_S = 10.0
LAG_LIMIT_S = 1.0
"""A loop that is this late delays every app; something blocks it."""


class CheckResult(Frozen, frozen=True, kw_only=True):
    name: str
    ok: bool
    reason: str = ""


class Readiness(Frozen, frozen=True, kw_only=True):
    """`/readyz`: 200 with `ready: true`, else 503 and the reasons in `checks`."""

    ready: bool
    checks: tuple[CheckResult, ...]
    facts: Mapping[str, str]


class Health:
    """Checks by name, and facts that an operator wants to see beside them. Use as an async context manager."""

    def __init__(self, redis: Redis, clock: Clock) -> None:
        self._redis = redis
        self._clock = clock
        self._checks: dict[str, Callable[[], str]] = {}
        self._facts: dict[str, str] = {}
        self._draining = False
        self._redis_seen = clock.monotonic()
        self._redis_error = ""
        self._lags: deque[tuple[float, float]] = deque(maxlen=int(LAG_WINDOW_S / BEAT_S))
        self._tasks = Tasks()
        self._stalls = StallWatch(clock, LAG_LIMIT_S)
        self.check("draining", lambda: "the host is stopping" if self._draining else "")
        self.age("redis", self.redis_age_s, REDIS_AWAY_S, lambda: self._redis_error)
        self.check("event_loop", self._loop_fault)

    def check(self, name: str, fault: Callable[[], str]) -> None:
        """Add a check: *fault* returns what is wrong, or an empty text. It must not block."""
        if name in self._checks:
            raise ValueError(f"there are two health checks called {name!r}")
        self._checks[name] = fault

    def age(self, name: str, age_s: Callable[[], float], limit_s: float, why: Callable[[], str] = lambda: "") -> None:
        """Add a check of something that must happen again and again: red when the last time is over *limit_s* ago."""

        def fault() -> str:
            age = age_s()
            if age <= limit_s:
                return ""
            reason = why()
            return f"last all right {age:.1f} s ago; the limit is {limit_s:g} s{': ' + reason if reason else ''}"

        self.check(name, fault)

    def fact(self, name: str, value: str) -> None:
        """Show *value* in `/readyz`: the isolation level, each capability's provider."""
        self._facts[name] = value

    def drain(self) -> None:
        """Be red from now on, so that a load balancer sends nothing new."""
        self._draining = True

    @property
    def draining(self) -> bool:
        return self._draining

    def readiness(self) -> Readiness:
        """The state now. A check that fails itself counts as red."""
        results = []
        for name, fault in self._checks.items():
            try:
                reason = fault()
            except Exception as error:
                log.exception("the health check %s failed", name)
                reason = f"the check failed: {error!r}"
            results.append(CheckResult(name=name, ok=not reason, reason=reason))
        return Readiness(ready=all(r.ok for r in results), checks=tuple(results), facts=dict(self._facts))

    def redis_age_s(self) -> float:
        """Seconds since Redis last answered."""
        return self._clock.monotonic() - self._redis_seen

    def loop_lag_s(self) -> float:
        """By how much the event loop was late at worst within the last ten seconds."""
        since = self._clock.monotonic() - LAG_WINDOW_S
        return max((lag for at, lag in self._lags if at >= since), default=0.0)

    async def __aenter__(self) -> Self:
        self._stalls.__enter__()
        self._tasks.keep("health: ping Redis", self._ping, self._clock.sleep)
        self._tasks.keep("health: watch the event loop", self._beat, self._clock.sleep)
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._tasks.close()
        self._stalls.__exit__(kind, error, trace)

    def _loop_fault(self) -> str:
        lag = self.loop_lag_s()
        if lag <= LAG_LIMIT_S:
            return ""
        return f"something blocked it for {lag:.1f} s; the limit is {LAG_LIMIT_S:g} s"

    async def _ping(self) -> None:
        while True:
            try:
                await self._redis.ping()
            except ShowgroundError as error:
                self._redis_error = error.message
            else:
                self._redis_seen = self._clock.monotonic()
                self._redis_error = ""
            await self._clock.sleep(PING_S)

    async def _beat(self) -> None:
        while True:
            self._stalls.beat()
            before = self._clock.monotonic()
            await self._clock.sleep(BEAT_S)
            now = self._clock.monotonic()
            lag = max(0.0, now - before - BEAT_S)
            self._lags.append((now, lag))
            if lag > LAG_LIMIT_S:
                log.warning("the event loop was blocked for %.1f s", lag)
