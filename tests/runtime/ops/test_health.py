from __future__ import annotations

import logging
import time

import pytest

from showground.clock import SystemClock
from showground.errors import ShowgroundError
from showground.ops.health import Health
from showground.redis.api import Redis
from showground.testing.clock import ManualClock
from showground.testing.waiting import eventually


def _red(health: Health) -> dict[str, str]:
    return {check.name: check.reason for check in health.readiness().checks if not check.ok}


class Line:
    """A way to Redis that can be cut."""

    def __init__(self) -> None:
        self.is_cut = False

    async def ping(self) -> float:
        if self.is_cut:
            raise ShowgroundError("store_unavailable", "nobody answers")
        return 0.001


async def test_ready_turns_red_with_the_reason_while_redis_is_away_and_green_after(clock: ManualClock) -> None:
    line = Line()
    async with Health(line, clock) as health:  # type: ignore[arg-type]
        await clock.advance(2)
        assert health.readiness().ready
        line.is_cut = True
        await clock.advance(4)
        assert health.readiness().ready, "a hiccup is not an outage"
        await clock.advance(3)
        assert "nobody answers" in _red(health)["redis"]
        line.is_cut = False
        await clock.advance(2)
        assert health.readiness().ready


async def test_a_loop_that_stalls_is_named(clock: ManualClock) -> None:
    last = 0.0
    async with Health(Line(), clock) as health:  # type: ignore[arg-type]
        health.age("scheduler", lambda: clock.monotonic() - last, 15)
        await clock.advance(15)
        assert health.readiness().ready
        await clock.advance(1)
        assert list(_red(health)) == ["scheduler"]
        last = clock.monotonic()
        assert health.readiness().ready


async def test_draining_and_a_check_that_breaks_are_red(clock: ManualClock) -> None:
    health = Health(Line(), clock)  # type: ignore[arg-type]
    health.fact("isolation", "confined")

    def broken() -> str:
        raise LookupError("gone")

    health.check("broken", broken)
    health.drain()
    assert list(_red(health)) == ["draining", "broken"]
    assert "gone" in _red(health)["broken"]
    assert health.readiness().facts == {"isolation": "confined"}


async def test_a_blocked_event_loop_is_seen_and_its_place_is_logged(
    redis: Redis, caplog: pytest.LogCaptureFixture
) -> None:
    async with Health(redis, SystemClock()) as health:
        await eventually(lambda: len(health._lags) > 0)
        _block_the_loop(caplog.records)
        await eventually(lambda: "event_loop" in _red(health))
    assert _is_named(caplog.records)


def _block_the_loop(records: list[logging.LogRecord]) -> None:
    """This is the fault that is looked for: 1.8 s of it at least, until it is named, or longer than anything needs to name it."""
    for tenths in range(1, 200):
        time.sleep(0.1)
        if tenths >= 18 and _is_named(records):
            return


def _is_named(records: list[logging.LogRecord]) -> bool:
    """The machine itself may stand still elsewhere, and is told of too."""
    return any(r.name == "showground.ops.stalls" and "_block_the_loop" in r.getMessage() for r in records)
