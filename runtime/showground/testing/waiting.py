"""Waiting for what other processes do, without sleeping longer than they take."""

from __future__ import annotations

import asyncio
import inspect
from collections.abc import Awaitable, Callable
from functools import partial


async def eventually(condition: Callable[[], object | Awaitable[object]], timeout_s: float = 30.0) -> None:
    """Return once *condition* (a function, sync or async) gives a true value; `AssertionError` after *timeout_s*."""
    loop = asyncio.get_running_loop()
    deadline = loop.time() + timeout_s
    pause = 0.001
    while True:
        value = condition()
        if inspect.isawaitable(value):
            value = await value
        if value:
            return
        assert loop.time() < deadline, f"not so within {timeout_s:g} s: {_source(condition)}"
        await asyncio.sleep(pause)
        pause = min(pause * 1.5, 0.05)


def _source(condition: Callable[..., object]) -> str:
    """What was waited for, as it stands in the test."""
    while isinstance(condition, partial):
        condition = condition.func
    try:
        return inspect.getsource(condition).strip()
    except (OSError, TypeError):  # a bound method of a built-in type, or code that stands in no file
        return repr(condition)
