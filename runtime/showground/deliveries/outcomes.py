"""Waiting for deliveries to end, whichever host runs them."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Sequence
from contextlib import AsyncExitStack
from types import TracebackType
from typing import Self

from showground.deliveries import scripts
from showground.deliveries.queue import RedisDeliveries
from showground.deliveries.records import decode_outcome, encode
from showground.deliveries.shard import Shard
from showground.errors import ShowgroundError
from showground.keys import InstallationId
from showground.model import Outcome
from showground.tasks import Tasks

log = logging.getLogger("showground.deliveries")

DeliveryKey = tuple[InstallationId, str]
"""(installation, delivery id)."""

MAX_WAIT_S = 30.0
"""Redis forgets who waits a minute after the last waiter came; the bound keeps a wait well within that."""
MAX_WAITING = 10_000
"""Deliveries that this host waits for at once, over all callers; more are refused as `overloaded`."""
AGAIN_S = 0.5
"""Pause before outcomes that could not be asked for are asked for again."""


class Outcomes:
    """Use as an async context manager. Outcomes are kept for 24 h, so waiting for what has ended already answers at once."""

    def __init__(self, queue: RedisDeliveries) -> None:
        self._queue = queue
        self._waiters: dict[str, list[_Waiter]] = {}
        self._n = 0
        self._tasks = Tasks()
        self._exits = AsyncExitStack()

    async def wait(self, deliveries: Sequence[DeliveryKey], timeout_s: float) -> Sequence[Outcome | None]:
        """The outcomes in the order of *deliveries*, when all have ended or *timeout_s* (at most 30) seconds have passed.

        Where a delivery has not ended by then: how its last attempt failed, if one did while we waited, else None. Such an
        outcome has status `failed` although the delivery will be tried again; only `done`, `dead` and `skipped` are certain
        ends, and `failed` of a job. Errors: `overloaded` when too many wait on this host.
        """
        if self._n + len(deliveries) > MAX_WAITING:
            raise ShowgroundError(
                "overloaded", "too many callers wait for outcomes on this host", "wait", "Ask without `wait`.", 1.0
            )
        self._n += len(deliveries)
        waiters = [_Waiter(*key) for key in deliveries]
        try:
            for waiter in waiters:
                self._waiters.setdefault(waiter.name, []).append(waiter)
            try:
                async with asyncio.timeout(min(timeout_s, MAX_WAIT_S)):
                    await self._ask(waiters)
                    for waiter in waiters:
                        await waiter.ended.wait()
            except TimeoutError:
                pass
            return [waiter.outcome for waiter in waiters]
        finally:
            self._n -= len(deliveries)
            for waiter in waiters:
                same = self._waiters[waiter.name]
                same.remove(waiter)
                if not same:
                    del self._waiters[waiter.name]

    async def _ask(self, waiters: Sequence[_Waiter]) -> None:
        """Mark what we wait for, and take what has ended: one script, so that nothing ends unnoticed in between."""
        by_shard = self._queue.shards.group([waiter.installation for waiter in waiters])
        await asyncio.gather(
            *(
                self._ask_shard(self._queue.shards.all[number], [waiters[p] for p in positions])
                for number, positions in by_shard.items()
            )
        )

    async def _ask_shard(self, shard: Shard, waiters: Sequence[_Waiter]) -> None:
        stored = await shard.run(scripts.WANT, encode([waiter.name for waiter in waiters]))
        for waiter, outcome in zip(waiters, stored, strict=True):
            if outcome:
                waiter.take(outcome, ended=True)

    def _on_message(self, channel: str, payload: bytes) -> None:
        end = 6 + int(payload[1:6])
        for waiter in self._waiters.get(payload[6:end].decode(), ()):
            waiter.take(payload[end:], ended=payload[:1] in b"tx")

    def _on_reset(self, channels: Sequence[str]) -> None:
        """Messages may be missing: ask again about everything that has not ended."""
        waiting = [waiter for same in self._waiters.values() for waiter in same if not waiter.ended.is_set()]
        if waiting:
            self._tasks.start("outcomes: ask again", self._ask_again(waiting))

    async def _ask_again(self, waiters: Sequence[_Waiter]) -> None:
        """Until Redis answers: its commands' connection may come back later than the one that messages come on."""
        while True:
            try:
                return await self._ask([waiter for waiter in waiters if not waiter.ended.is_set()])
            except ShowgroundError as error:
                log.debug("outcomes are asked for again: %s", error)
            await self._queue.clock.sleep(AGAIN_S)

    async def __aenter__(self) -> Self:
        async with AsyncExitStack() as exits:
            await exits.enter_async_context(self._tasks)
            subscriber = await exits.enter_async_context(self._queue.redis.subscriber(self._on_message, self._on_reset))
            for shard in self._queue.shards.all:
                await subscriber.subscribe(shard.outcomes_channel)
            self._exits = exits.pop_all()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._exits.aclose()


class _Waiter:
    def __init__(self, installation: InstallationId, delivery: str) -> None:
        self.installation = installation
        self.name = f"{installation}|{delivery}"
        self.outcome: Outcome | None = None
        self.ended = asyncio.Event()

    def take(self, stored: bytes, *, ended: bool) -> None:
        if not self.ended.is_set():
            self.outcome = decode_outcome(self.installation, stored)
            if ended:
                self.ended.set()
