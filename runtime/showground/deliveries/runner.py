"""Claims deliveries, runs them, and hands in how they ended: the part of the queue that every host has."""

from __future__ import annotations

import asyncio
import logging
import random
from collections.abc import Sequence
from contextlib import AsyncExitStack
from types import TracebackType
from typing import Self

from showground.clock import Clock
from showground.deliveries.attempts import Attempts, Begin, Handle
from showground.deliveries.lane import Lane
from showground.deliveries.queue import RedisDeliveries
from showground.deliveries.retries import RetryPolicy
from showground.deliveries.slots import Slots
from showground.errors import ShowgroundError
from showground.tasks import Tasks

log = logging.getLogger("showground.deliveries")

__all__ = ["Handle", "Runner"]


class Runner:
    """Runs deliveries as long as it is entered, on any number of hosts at once.

    * At least once: a claim holds for a lease, renewed at half its life while the handler runs. A host that dies, hangs or
      loses Redis loses its claims; another one tries again, and that counts as the next attempt.
    * A claim carries a fencing token. An outcome with an old token is refused and changes nothing; a handler whose claim was
      lost is cancelled when the renewal finds out.
    * Fair: installations take turns, and one never runs more than `concurrency` deliveries, so a stuck or flooded one
      delays no other.
    * Order: deliveries of one installation start in the order in which they became due, but run side by side; nothing is
      promised about the order in which they end. A group with overlap "queue" runs one at a time, in order.
    """

    def __init__(
        self,
        queue: RedisDeliveries,
        handle: Handle,
        *,
        begin: Begin | None = None,
        host_id: str,
        clock: Clock | None = None,
        drain_s: float = 10.0,
        rng: random.Random | None = None,
    ) -> None:
        """*begin*, where there is one, is tried before *handle*; it saves a task for each delivery."""
        self._queue = queue
        self._clock = clock if clock is not None else queue.clock
        self._host_id = host_id
        self._drain_s = drain_s
        self._rng = rng if rng is not None else random.Random()  # noqa: S311 - jitter, no secret
        self._slots = Slots(queue.settings.in_flight)
        self._tasks = Tasks()
        policy = RetryPolicy(queue.settings, self._rng)
        self._attempts = Attempts(queue, handle, begin, self._clock, policy, self._tasks)
        self._lanes: list[Lane] = []
        self._exits = AsyncExitStack()

    def tick_age_s(self) -> float:
        """Seconds since the slowest shard last finished a turn; `/readyz` goes red when it grows past its limit."""
        return max((lane.tick_age_s() for lane in self._lanes), default=0.0)

    def running(self) -> int:
        """How many deliveries run on this host now."""
        return sum(len(lane) for lane in self._lanes)

    async def __aenter__(self) -> Self:
        async with AsyncExitStack() as exits:
            await exits.enter_async_context(self._tasks)
            self._lanes = [
                Lane(
                    number,
                    shard,
                    host_id=self._host_id,
                    queue=self._queue,
                    clock=self._clock,
                    slots=self._slots,
                    attempts=self._attempts,
                    tasks=self._tasks,
                    rng=self._rng,
                )
                for number, shard in enumerate(self._queue.shards.all)
            ]

            def missed(channels: Sequence[str]) -> None:
                for channel in channels:
                    by_channel[channel].poke("")

            by_channel = {lane.shard.poke_channel: lane for lane in self._lanes}
            subscriber = await exits.enter_async_context(
                self._queue.redis.subscriber(
                    lambda channel, steward: by_channel[channel].poke(steward.decode()), missed
                )
            )
            for channel in by_channel:
                await subscriber.subscribe(channel)
            for lane in self._lanes:
                self._tasks.keep(f"deliveries: shard {lane.number}", lane.run, self._clock.sleep)
            self._tasks.keep("deliveries: renew leases", self._renew, self._clock.sleep)
            self._exits = exits.pop_all()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        try:
            await self.drain(self._drain_s if kind is None else 0.0)
        finally:
            await self._exits.aclose()

    async def drain(self, within_s: float) -> None:
        """Claim nothing more, let what runs finish for so long, hand in its outcomes, give back the rest so that another host
        may run it at once. Idempotent. Cancelled, it gives back at once."""
        lanes = list(self._lanes)
        for lane in lanes:
            lane.stop_claiming()
        try:
            async with asyncio.timeout(within_s):
                await asyncio.gather(*(lane.idle() for lane in lanes))
        except TimeoutError:
            if running := self.running():
                log.warning("%s deliveries ran past the drain time and are given back", running)
        finally:
            await self._give_back(lanes)

    @staticmethod
    async def _give_back(lanes: Sequence[Lane]) -> None:
        try:
            async with asyncio.timeout(5.0):
                await asyncio.gather(*(lane.give_back() for lane in lanes))
        except (TimeoutError, ShowgroundError) as error:
            log.warning("leases could not be given back and must expire: %s", error)

    async def _renew(self) -> None:
        while True:
            await self._clock.sleep(self._queue.settings.lease_s / 4)
            await asyncio.gather(*(lane.renew() for lane in self._lanes if len(lane)))
