"""The example plugin's provider keeps every promise of the realtime capability."""

from __future__ import annotations

from contextlib import AbstractAsyncContextManager

import pytest

from greeter_plugin.local_realtime import open_local
from showground.capabilities import Realtime
from showground.testing.clock import ManualClock
from showground.testing.conformance.realtime import RealtimeConformance, RealtimeStore
from showground.testing.services import services


class LocalStore:
    def __init__(self, clock: ManualClock) -> None:
        self._clock = clock

    def open(self, **options: object) -> AbstractAsyncContextManager[Realtime]:
        return open_local(services(options, clock=self._clock))

    async def advance(self, seconds: float) -> None:
        await self._clock.advance(seconds)


class TestLocal(RealtimeConformance):
    @pytest.fixture
    def store(self, clock: ManualClock) -> RealtimeStore:
        return LocalStore(clock)
