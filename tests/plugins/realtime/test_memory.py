"""The memory provider keeps the promises of the realtime capability."""

from __future__ import annotations

from contextlib import AbstractAsyncContextManager

import pytest

from showground.capabilities import Realtime
from showground.testing.clock import ManualClock
from showground.testing.conformance.realtime import RealtimeConformance, RealtimeStore
from showground.testing.services import services
from showground_realtime.channels import open_memory


class MemoryStore:
    def __init__(self, clock: ManualClock) -> None:
        self._clock = clock

    def open(self, **options: object) -> AbstractAsyncContextManager[Realtime]:
        return open_memory(services(options, clock=self._clock))

    async def advance(self, seconds: float) -> None:
        await self._clock.advance(seconds)


class TestMemory(RealtimeConformance):
    @pytest.fixture
    def store(self, clock: ManualClock) -> RealtimeStore:
        return MemoryStore(clock)
