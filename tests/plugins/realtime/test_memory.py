"""The memory provider keeps the promises of the realtime capability."""

from __future__ import annotations

import asyncio
from contextlib import AbstractAsyncContextManager
from typing import Any

import pytest

from showground.capabilities import Realtime
from showground.hookspecs import Services
from showground.keys import KeySpace
from showground.testing.conformance.realtime import RealtimeConformance, RealtimeStore
from showground_realtime.channels import open_memory


class MovableClock:
    """Time that only a test moves; whoever sleeps on it sleeps until it is moved far enough."""

    def __init__(self) -> None:
        self.now = 1000.0
        self._moved = asyncio.Event()

    def now_ms(self) -> int:
        return int(self.now * 1000)

    def monotonic(self) -> float:
        return self.now

    async def sleep(self, seconds: float) -> None:
        until = self.now + seconds
        while self.now < until:
            await self._moved.wait()

    def move(self, seconds: float) -> None:
        self.now += seconds
        self._moved.set()
        self._moved = asyncio.Event()


class MemoryStore:
    def __init__(self) -> None:
        self.clock = MovableClock()

    def open(self, **options: object) -> AbstractAsyncContextManager[Realtime]:
        nothing: Any = None  # the memory provider uses neither Redis nor deliveries
        services = Services(
            redis=nothing,
            keys=KeySpace(),
            clock=self.clock,
            options=options,
            deliveries=nothing,
            observe=lambda event: None,
            host_id="test",
        )
        return open_memory(services)

    async def advance(self, seconds: float) -> None:
        self.clock.move(seconds)


class TestMemory(RealtimeConformance):
    @pytest.fixture
    def store(self) -> RealtimeStore:
        return MemoryStore()
