"""The memory provider keeps every promise of the scheduler capability."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import cast

import pytest

from showground.capabilities import Scheduler
from showground.hookspecs import Services
from showground.keys import KeySpace
from showground.redis.api import Redis
from showground.testing.clock import ManualClock
from showground.testing.conformance.scheduler import POLL_S, START_MS, SchedulerBench, SchedulerConformance
from showground.testing.deliveries import MemoryDeliveries
from showground_scheduler.memory_store import MemoryStore
from showground_scheduler.scheduler import running


class MemoryBench:
    def __init__(self) -> None:
        self.clock = ManualClock(START_MS)
        self.deliveries = MemoryDeliveries(self.clock)
        self._store = MemoryStore(self.clock.now_ms)

    @asynccontextmanager
    async def open(self, **options: object) -> AsyncIterator[Scheduler]:
        services = Services(
            redis=cast("Redis", None),
            keys=KeySpace(),
            clock=self.clock,
            options={"poll_s": POLL_S, **options},
            deliveries=self.deliveries,
            observe=lambda event: None,
            host_id="host",
        )
        async with running(self._store, services) as scheduler:
            yield scheduler


class TestMemoryScheduler(SchedulerConformance):
    @pytest.fixture
    def bench(self) -> SchedulerBench:
        return MemoryBench()
