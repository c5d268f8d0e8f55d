"""Random examples: how many, and of what asynchronous code."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

from hypothesis import HealthCheck, Phase, given, settings
from hypothesis.strategies import SearchStrategy


def examples(count: int) -> settings:
    """Settings for *count* examples by default, and in proportion under another profile (`--hypothesis-profile=long`)."""
    share = (settings().max_examples or 100) / 100
    return settings(max_examples=max(1, round(count * share)), deadline=None, suppress_health_check=list(HealthCheck))


async def fuzz(
    strategy: SearchStrategy[Any], attempt: Callable[[Any], Awaitable[None]], count: int, timeout_s: float = 20.0
) -> int:
    """Await *attempt* for random examples, on this loop, one after the other; how many they were.

    Examples are drawn in a thread, because hypothesis is synchronous. What fails is not made smaller: a host keeps state.
    """
    loop = asyncio.get_running_loop()
    tried = 0

    @settings(examples(count), phases=[Phase.explicit, Phase.generate], database=None)
    @given(strategy)
    def try_one(example: Any) -> None:
        nonlocal tried
        tried += 1

        async def one() -> None:
            async with asyncio.timeout(timeout_s):
                await attempt(example)

        asyncio.run_coroutine_threadsafe(one(), loop).result()

    await asyncio.to_thread(try_one)
    return tried
