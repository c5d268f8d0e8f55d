"""The fixtures that other tests rely on."""

from __future__ import annotations

import asyncio

import pytest

from showground.testing.clock import ManualClock

pytest_plugins = ["pytester"]


def test_the_leak_guard_fails_a_test_that_leaves_a_lasting_key(pytester: pytest.Pytester) -> None:
    pytester.makeini("[pytest]\nasyncio_mode = auto\nasyncio_default_fixture_loop_scope = function\n")
    pytester.makepyfile(
        """
        async def test_leaky(redis, keys):
            await redis.call("SET", keys.host("left"), 1)

        async def test_permanent(redis, keys, permanent_keys):
            permanent_keys.append("mine:*")
            await redis.call("SET", keys.of("a:b", "mine", "x"), 1)
            await redis.call("SET", keys.host("going"), 1, "EX", 9)

        async def test_clean_start(redis):
            assert await redis.call("DBSIZE") == 0
        """
    )
    result = pytester.runpytest_subprocess("-p", "no:randomly", "-p", "no:cacheprovider")
    result.assert_outcomes(passed=3, errors=1)
    result.stdout.fnmatch_lines(["*keys without an expiry*left*"])


async def test_a_manual_clock_wakes_sleepers_in_order_each_at_its_own_time(clock: ManualClock) -> None:
    woken: list[tuple[str, float]] = []

    async def sleeper(name: str, *naps: float) -> None:
        for nap in naps:
            await clock.sleep(nap)
            woken.append((name, clock.monotonic()))

    async with asyncio.TaskGroup() as group:
        group.create_task(sleeper("a", 3.0, 3.0))
        group.create_task(sleeper("b", 2.0))
        await clock.advance(2.5)
        assert woken == [("b", 2.0)]
        await clock.advance(10)
    assert woken == [("b", 2.0), ("a", 3.0), ("a", 6.0)]
    assert clock.now_ms() == 1_700_000_012_500
