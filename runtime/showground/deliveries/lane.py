"""One host's work on one shard: a loop of turns, each of which hands in what ended and claims what may run.

While many run, the next turn is sent before what the last one claimed is begun, so that Redis and the workers are busy at the
same time.
"""

from __future__ import annotations

import asyncio
import logging
import random
from collections.abc import Sequence

from showground.clock import Clock
from showground.deliveries.alarm import Alarm
from showground.deliveries.attempts import Attempt, Attempts
from showground.deliveries.queue import RedisDeliveries
from showground.deliveries.shard import Ack, Shard, Turn
from showground.deliveries.slots import Slots
from showground.errors import ShowgroundError
from showground.model import HostEvent
from showground.redis.api import CommandRefused
from showground.tasks import Tasks

log = logging.getLogger("showground.deliveries")

MAX_ACKS = 1000
"""Outcomes handed in by one turn; the rest waits for the next one."""
CLAIM_AT_ONCE = 128
"""Deliveries claimed by one turn, so that a busy shard does not starve this host's other ones."""
FEW = 16
"""While so many run, an outcome is handed in at once. While more do, a turn waits until a third of them have ended, or for
`GATHER_S`: a turn has a price of its own, and what still runs keeps the workers busy meanwhile."""
GATHER_S = 0.001
COURTESY_S = (0.010, 0.030)
"""How long a host leaves new work to the host that claimed last on this shard, so that a wake-up starts one, not all."""


class Lane:
    """There is one turn at a time, so everything that ends while a turn is under way goes together with the next."""

    def __init__(
        self,
        number: int,
        shard: Shard,
        *,
        host_id: str,
        queue: RedisDeliveries,
        clock: Clock,
        slots: Slots,
        attempts: Attempts,
        tasks: Tasks,
        rng: random.Random,
    ) -> None:
        self.number = number
        self.shard = shard
        self._host_id = host_id
        self._queue = queue
        self._clock = clock
        self._slots = slots
        self._attempts = attempts
        self._tasks = tasks
        self._rng = rng
        self._wake = asyncio.Event()
        self._alarm = Alarm(clock, tasks, self._wake)
        self._running: dict[tuple[str, str], Attempt] = {}
        self._at_once = min(CLAIM_AT_ONCE, max(FEW, queue.settings.concurrency // 2))
        """Half of what one installation may have under way: one half is claimed and handed in while the other runs."""
        self._unbegun: list[Attempt] = []
        """Claimed by the last turn, and begun when the next is on its way."""
        self._acks: list[Ack] = []
        self._gathering: asyncio.TimerHandle | None = None
        self._claiming = True
        self._idle = asyncio.Event()
        self._ticked_at = clock.monotonic()

    def __len__(self) -> int:
        return len(self._running)

    def tick_age_s(self) -> float:
        return self._clock.monotonic() - self._ticked_at

    def poke(self, steward: str) -> None:
        """There is something to claim. The host that claimed last goes first; the others follow in case it can't."""
        if steward == self._host_id:
            self._wake.set()
        else:
            pause = self._rng.uniform(*COURTESY_S) if steward else self._rng.uniform(0.001, 0.005)
            self._alarm.at(self._clock.monotonic() + pause)

    async def run(self) -> None:
        failures = 0
        while True:
            self._wake.clear()
            try:
                again = await self._turn()
                failures = 0
            except (ShowgroundError, CommandRefused) as error:
                failures += 1
                if failures == 1 or failures % 60 == 0:
                    log.warning("shard %s: %s; trying again", self.number, error)
                again = False
                await self._clock.sleep(self._rng.uniform(0.05, min(2.0, 0.1 * 2 ** min(failures, 6))))
                self._wake.set()
            if not self._running and not self._acks:
                self._idle.set()
            if not again:
                await self._wake.wait()

    async def _turn(self) -> bool:
        """Hand in, claim, start. Returns whether there is work for another turn at once."""
        if self._gathering is not None:
            self._gathering.cancel()
            self._gathering = None
        acks, self._acks = self._acks[:MAX_ACKS], self._acks[MAX_ACKS:]
        rest = bool(self._acks)
        want = self._slots.take(self.number, self._wake, self._at_once) if self._claiming else 0
        unused = want
        began = self._clock.monotonic()
        try:
            turn = await self._ask(acks, want)
            unused = max(0, want - len(turn.claims))
        except BaseException:
            # It may have happened all the same: then these acks are refused next time, and what was claimed for us
            # comes back when its lease ends.
            self._acks = acks + self._acks
            raise
        finally:
            self._slots.give(unused)
        self._ticked_at = self._clock.monotonic()
        for claim in turn.claims:
            attempt = self._attempts.take(claim, turn.now_ms, self._ended)
            self._running[claim.installation, claim.id] = attempt
            self._unbegun.append(attempt)
        again = rest or (turn.more and self._claiming and len(turn.claims) > 0)
        if len(self._unbegun) < FEW or not (again or self._wake.is_set()):
            self._begin()
        if turn.refused:
            self._observe("delivery_fenced", len(turn.refused))
            for position in turn.refused:
                log.warning("%s: another host took it over; this outcome is refused", acks[position].claim.name)
        self._queue.count_dropped(turn.dropped_letters)
        poll = self._queue.settings.poll_s
        self._alarm.at(began + (poll if turn.next_due_s is None else min(poll, turn.next_due_s)))
        return again

    async def _ask(self, acks: Sequence[Ack], want: int) -> Turn:
        if not self._unbegun:
            return await self.shard.turn(acks, want, self._host_id, self._queue.settings)

        async def ask() -> Turn | Exception:
            try:
                return await self.shard.turn(acks, want, self._host_id, self._queue.settings)
            except Exception as error:  # told to the one who waits, not to the log of tasks
                return error

        asking = self._tasks.start("turn", ask())
        try:
            await asyncio.sleep(0)  # it makes its command
            await asyncio.sleep(0)  # which is written
            self._begin()
            told: Turn | Exception = await asking
        finally:
            asking.cancel()
        if isinstance(told, Exception):
            raise told
        return told

    def _begin(self) -> None:
        attempts, self._unbegun = self._unbegun, []
        for attempt in attempts:
            attempt.start()

    def _ended(self, attempt: Attempt, ack: Ack | None) -> None:
        """*attempt* is over; without an *ack* its claim was lost or is given back."""
        name = attempt.claim[:2]
        if self._running.get(name) is attempt:
            del self._running[name]
        self._slots.give(1)
        if ack is not None:
            self._acks.append(ack)
        running = len(self._running)
        if running < FEW or 2 * len(self._acks) >= running:
            self._wake.set()
        elif self._gathering is None:
            # The loop's own timer: this joins what ends together, and no promise depends on it.
            self._gathering = asyncio.get_running_loop().call_later(GATHER_S, self._wake.set)

    async def renew(self) -> None:
        """Renew the leases that have passed a quarter of their life, so that none passes half; cancel what was lost."""
        before = self._clock.monotonic() - self._queue.settings.lease_s / 8
        held = [attempt for attempt in self._running.values() if attempt.started <= before]
        if not held:
            return
        try:
            lost = await self.shard.renew([attempt.claim for attempt in held], self._queue.settings)
        except (ShowgroundError, CommandRefused) as error:
            log.warning("shard %s: leases were not renewed: %s", self.number, error)
            return
        for position in lost:
            attempt = held[position]
            if not attempt.over:
                log.warning("%s: its lease was lost; its handler is cancelled", attempt.claim.name)
                self._observe("delivery_lease_lost", 1)
                attempt.cancel()

    def stop_claiming(self) -> None:
        self._claiming = False
        self._idle.clear()
        self._wake.set()

    async def idle(self) -> None:
        """Return when nothing runs and everything is handed in; only after `stop_claiming`."""
        await self._idle.wait()

    async def give_back(self) -> None:
        """Cancel what still runs and give its claims back, as if they had never been made."""
        held = list(self._running.values())
        for attempt in held:
            attempt.cancel()
        tasks = [attempt.task for attempt in held if attempt.task is not None]
        if tasks:
            await asyncio.wait(tasks)
        acks, self._acks = self._acks, []
        for attempt in held:
            if not attempt.acknowledged:
                acks.append(attempt.untouched())
        if acks:
            await self.shard.turn(acks, 0, self._host_id, self._queue.settings)

    def _observe(self, name: str, n: int) -> None:
        self._queue.observe(HostEvent(name=name, at_ms=self._clock.now_ms(), value=float(n)))
