"""The memory provider keeps every promise of the scheduler capability."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest

from showground.capabilities import Scheduler
from showground.testing.clock import ManualClock
from showground.testing.conformance.scheduler import POLL_S, START_MS, SchedulerBench, SchedulerConformance
from showground.testing.deliveries import MemoryDeliveries
from showground.testing.services import services
from showground_scheduler.memory_store import MemoryStore
from showground_scheduler.scheduler import running


class MemoryBench:
    def __init__(self) -> None:
        self.clock = ManualClock(START_MS)
        self.deliveries = MemoryDeliveries(self.clock)
        self._store = MemoryStore(self.clock.now_ms)

    @asynccontextmanager
    async def open(self, **options: object) -> AsyncIterator[Scheduler]:
        lent = services({"poll_s": POLL_S, **options}, clock=self.clock, deliveries=self.deliveries)
        async with running(self._store, lent) as scheduler:
            yield scheduler


class TestMemoryScheduler(SchedulerConformance):
    @pytest.fixture
    def bench(self) -> SchedulerBench:
        return MemoryBench()
