"""A delivery queue in memory, for testing what enqueues: same answers as the real one, and the test ends the runs."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from typing import Literal

from showground.capabilities import Enqueued
from showground.clock import Clock
from showground.errors import ShowgroundError
from showground.keys import InstallationId
from showground.model import Delivery, Outcome

REMEMBERED_MS = 24 * 3600 * 1000


class MemoryDeliveries:
    """Implements `showground.capabilities.Deliveries`. Nothing is run: `finish` says how a run ended."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self.offered: list[tuple[str, Enqueued]] = []
        """Every id that was ever offered, with the answer, in order."""
        self.enqueued: list[Delivery] = []
        """What was accepted, in order."""
        self.outstanding: dict[str, Delivery] = {}
        """What was accepted and has not been finished, by id, in order."""
        self.full: set[InstallationId] = set()
        """Installations whose backlog is to count as full."""
        self.away = False
        """Whether to answer `store_unavailable`, having done nothing."""
        self.refused = 0
        """How often it was asked while away."""
        self._seen: dict[str, int] = {}
        self._outcomes: list[tuple[str, Outcome]] = []
        self._changed = asyncio.Event()

    @property
    def ids(self) -> list[str]:
        """Ids of what was accepted, in order."""
        return [delivery.id for delivery in self.enqueued]

    async def enqueue(self, deliveries: Sequence[Delivery]) -> Sequence[Enqueued]:
        if self.away:
            self.refused += 1
            raise ShowgroundError("store_unavailable", "the queue is away", "deliveries")
        if any(delivery.installation in self.full for delivery in deliveries):
            raise ShowgroundError("overloaded", "the backlog is full", "deliveries", retry_after=5.0)
        answers = [self._offer(delivery) for delivery in deliveries]
        self._changed.set()
        return answers

    def _offer(self, delivery: Delivery) -> Enqueued:
        answer: Enqueued = "new"
        now_ms = self._clock.now_ms()
        if self._seen.get(delivery.id, -REMEMBERED_MS) > now_ms - REMEMBERED_MS:
            answer = "duplicate"
        else:
            self._seen[delivery.id] = now_ms
            if delivery.overlap == "skip" and self._group(delivery):
                answer = "skipped"
                self._outcomes.append((delivery.group, self._outcome(delivery, "skipped")))
            else:
                self.enqueued.append(delivery)
                self.outstanding[delivery.id] = delivery
        self.offered.append((delivery.id, answer))
        return answer

    def _group(self, delivery: Delivery) -> list[Delivery]:
        if not delivery.group:
            return []
        return [d for d in self.outstanding.values() if d.group == delivery.group]

    @property
    def runnable(self) -> list[Delivery]:
        """What a runner may start now: due, and the first of its group where `overlap` is `queue`."""
        now_ms = self._clock.now_ms()
        return [
            d
            for d in self.outstanding.values()
            if d.due_at_ms <= now_ms and (d.overlap != "queue" or self._group(d)[:1] in ([], [d]))
        ]

    def finish(self, delivery_id: str, status: Literal["done", "dead"] = "done", result: bytes = b"") -> None:
        """End one run; raises `KeyError` when it is not outstanding."""
        delivery = self.outstanding.pop(delivery_id)
        self._outcomes.append((delivery.group, self._outcome(delivery, status, result)))

    def finish_all(self) -> None:
        for delivery_id in list(self.outstanding):
            self.finish(delivery_id)

    def _outcome(
        self, delivery: Delivery, status: Literal["done", "failed", "dead", "skipped"], result: bytes = b""
    ) -> Outcome:
        return Outcome(
            delivery=delivery.id,
            installation=delivery.installation,
            status=status,
            attempts=0 if status == "skipped" else 1,
            result=result,
            finished_at_ms=self._clock.now_ms(),
        )

    async def history(self, installation: InstallationId, group: str, limit: int = 20) -> Sequence[Outcome]:
        mine = [o for g, o in self._outcomes if g == group and o.installation == installation]
        return mine[::-1][:limit]

    async def clear(self, installation: InstallationId) -> None:
        for delivery in list(self.outstanding.values()):
            if delivery.installation == installation:
                del self.outstanding[delivery.id]
        self._outcomes = [(g, o) for g, o in self._outcomes if o.installation != installation]

    async def until(self, condition: Callable[[], bool], timeout_s: float = 15.0) -> None:
        """Wait until *condition* holds, looking after each `enqueue`; raises `TimeoutError`."""
        async with asyncio.timeout(timeout_s):
            while not condition():
                self._changed.clear()
                await self._changed.wait()
