"""Callers who leave, and hosts that stop, before a handler has begun."""

from __future__ import annotations

import asyncio
import os
import signal
from pathlib import Path

import pytest

from showground.errors import ShowgroundError
from showground.testing.waiting import eventually
from showground.testing.workbench import Workbench

ECHO = """
    async def run(invocation, payload, call): return payload
"""


async def test_calls_whose_callers_leave_before_they_begin_hold_up_nothing(bench: Workbench) -> None:
    """They reach a worker that was busy together with their cancellation."""
    bundle = bench.bundle(ECHO)
    await bench.invoke(bundle)
    [worker] = bench.workers()
    os.kill(worker, signal.SIGSTOP)
    leaving = [asyncio.ensure_future(bench.invoke(bundle)) for _ in range(3)]
    await eventually(lambda: bench.supervisor.stats()[0].in_flight == 3)
    for call in leaving:
        call.cancel()
    await asyncio.wait(leaving)
    os.kill(worker, signal.SIGCONT)
    await eventually(lambda: bench.supervisor.stats()[0].in_flight == 0)
    await bench.supervisor.drain(bundle.version.digest)
    assert bench.said() == [], "the worker had to be ended"


async def test_a_host_that_stops_answers_calls_that_have_not_begun(tmp_path: Path) -> None:
    """In the host's own process the first step of a call comes a turn of the loop after it was taken."""
    async with Workbench(tmp_path, level="none") as bench:
        bundle = bench.bundle(ECHO)
        await bench.invoke(bundle)
        unbegun = asyncio.ensure_future(bench.invoke(bundle))
        await asyncio.sleep(0)
        await bench.supervisor.close()
        with pytest.raises(ShowgroundError):
            await asyncio.wait_for(unbegun, 5)
