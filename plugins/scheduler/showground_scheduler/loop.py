"""The loop of one host: takes what is due, enqueues its slots, and moves each job on.

Correctness needs no lease. A slot's delivery id is made of the job's id and the slot, and the queue refuses a second one; then
the job moves on only if it still is where it was found. A host that is killed, stopped or late in between at worst repeats
what changes nothing. The claim only spares the other hosts the work.

What is due is decided by the store's time, which each claim tells. In between it is reckoned on by monotonic time, so that the
host's own clock, which may be wrong or be set at any moment, has no part in it.
"""

from __future__ import annotations

import asyncio
import logging
from collections import defaultdict
from collections.abc import Callable, Sequence

import msgspec

from showground.capabilities import Deliveries, Job
from showground.clock import Clock
from showground.errors import ShowgroundError
from showground.keys import InstallationId
from showground.model import Delivery, HostEvent
from showground.tasks import Tasks
from showground_scheduler.definition import Parse
from showground_scheduler.misfire import Firing, fire
from showground_scheduler.options import Options
from showground_scheduler.store import Claim, Entry, JobStore, Move

log = logging.getLogger("showground.scheduler")

STALE_S = 600.0
"""A batch that was held longer (a stopped process) is given up: the queue remembers ids for 24 h only."""
BACK_OFF_S = (0.05, 1.0)
"""First and longest pause after a failed turn."""
OVERLOADED_MS = 5_000
"""When to offer a slot again to a queue that had no room for it."""
BROKEN_MS = 60_000
"""When to look again at a job whose times cannot be computed (a zone that left tzdata)."""
SLICE = 50
"""Jobs planned before other work of the host gets its turn: about 2 ms."""
MOST_IN_A_ROW = 20
"""Looks at one shard that follow each other without a look at the others."""
FIRST_BATCH = 64
"""Jobs taken by a look at a shard; twice as many after each look that found as many, up to the batch of the options.
So the first runs of a burst are on their way while the rest is still read."""
NEVER = 2**62


def slot_delivery(job: Job, slot_ms: int, now_ms: int) -> Delivery:
    """The delivery of one slot. Its id depends on nothing but the job and the slot."""
    return delivery(job, f"{job.id}@{slot_ms}", slot_ms, now_ms)


def delivery(job: Job, delivery_id: str, scheduled_at_ms: int, now_ms: int) -> Delivery:
    payload = {"name": job.name, "data": job.data, "job_id": job.id, "scheduled_at_ms": scheduled_at_ms}
    return Delivery(
        id=delivery_id,
        installation=job.installation,
        kind="job",
        name=job.name,
        payload=msgspec.json.encode(payload),
        due_at_ms=scheduled_at_ms,
        group=job.id,
        overlap=job.overlap,
        created_at_ms=now_ms,
    )


class Loop:
    """Runs until cancelled. Redis being away only delays it."""

    def __init__(
        self,
        store: JobStore,
        deliveries: Deliveries,
        clock: Clock,
        options: Options,
        parse: Parse,
        observe: Callable[[HostEvent], None],
    ) -> None:
        self._store = store
        self._deliveries = deliveries
        self._clock = clock
        self._options = options
        self._parse = parse
        self._observe = observe
        self._wake = [0] * store.shards
        """Per shard, when the next job is due as far as this host knows; milliseconds since 1970, by the shard's time."""
        self._ahead = [0.0] * store.shards
        """Per shard, by how much its time was ahead of monotonic time when it was last told; milliseconds."""
        self._batch = [FIRST_BATCH] * store.shards
        self._poked = asyncio.Event()
        self._looked_at = float("-inf")
        self._finished_at = clock.monotonic()

    def poke(self, shard: int, due_ms: int) -> None:
        """Tell that something on *shard* is due at *due_ms*, maybe earlier than was known."""
        if due_ms < self._wake[shard]:
            self._wake[shard] = due_ms
            self._poked.set()

    def tick_age_s(self) -> float:
        return max(0.0, self._clock.monotonic() - self._finished_at)

    async def run(self) -> None:
        back_off = BACK_OFF_S[0]
        while True:
            try:
                await self.turn()
            except Exception as error:
                # Whatever it is, the loop goes on: a scheduler that died in silence is the worst that can happen.
                if not isinstance(error, ShowgroundError) or error.code != "store_unavailable":
                    log.exception("scheduler turn failed")
                elif back_off == BACK_OFF_S[0]:
                    log.warning("scheduler waits for the store: %s", error)
                self._count("scheduler_turn_failed", 1)
                await self._clock.sleep(back_off)
                back_off = min(back_off * 2, BACK_OFF_S[1])
                continue
            if back_off != BACK_OFF_S[0]:
                log.warning("scheduler goes on after %.1f s", self.tick_age_s())
            back_off = BACK_OFF_S[0]
            self._finished_at = self._clock.monotonic()
            await self._pause()

    async def _pause(self) -> None:
        """Until the next job is due, a poke, or the poll; never less than 1 ms, which would spin."""
        until_due = min(wake - self._shard_ms(n) for n, wake in enumerate(self._wake)) / 1000
        async with Tasks() as waiting:
            sleep_s = max(0.001, min(until_due, self._options.poll_s))
            sleeper = waiting.start("scheduler sleep", self._clock.sleep(sleep_s))
            sleeper.add_done_callback(lambda _: self._poked.set())
            await self._poked.wait()
        self._poked.clear()

    async def turn(self) -> None:
        """Look once at each shard that has something due, or at all of them when the last such look is a poll ago."""
        monotonic = self._clock.monotonic()
        every = monotonic - self._looked_at >= self._options.poll_s
        shards = [n for n, wake in enumerate(self._wake) if every or wake <= self._shard_ms(n)]
        results = await asyncio.gather(*map(self._shard, shards), return_exceptions=True)
        for error in results:
            if error is not None:
                raise error
        if every:
            self._looked_at = monotonic

    def _shard_ms(self, shard: int) -> float:
        return self._clock.monotonic() * 1000 + self._ahead[shard]

    async def _shard(self, shard: int) -> None:
        started = self._clock.monotonic()
        # A poke that comes while we look must not be lost, so the mark is set before.
        self._wake[shard] = NEVER
        try:
            claim = await self._claim(shard)
            moves = await self._fire(shard, claim, started)
            for _ in range(MOST_IN_A_ROW):
                if not (claim.full and moves):
                    break
                # A burst. The store is asked for more while it writes down what was done.
                started = self._clock.monotonic()
                _, claim = await asyncio.gather(self._store.settle(shard, moves), self._claim(shard))
                moves = await self._fire(shard, claim, started)
            if moves:
                await self._store.settle(shard, moves)
        except BaseException:
            self._wake[shard] = 0
            raise
        looks = [m.next_ms if m.wake_ms is None else m.wake_ms for m in moves]
        known = [claim.wake_ms, 0 if claim.full else None, *looks]
        self._wake[shard] = min([self._wake[shard], *(at for at in known if at is not None)])

    async def _claim(self, shard: int) -> Claim:
        limit = min(self._batch[shard], self._options.batch)
        claim = await self._store.claim(shard, limit, int(self._options.claim_s * 1000))
        self._batch[shard] = 2 * limit if claim.full else FIRST_BATCH
        self._ahead[shard] = claim.now_ms - self._clock.monotonic() * 1000
        return claim

    async def _fire(self, shard: int, claim: Claim, started: float) -> list[Move]:
        now_ms = claim.now_ms
        moves: list[Move] = []
        planned: list[tuple[Entry, Firing]] = []
        for number, entry in enumerate(claim.entries):
            if number % SLICE == SLICE - 1:
                await asyncio.sleep(0)
            try:
                planned.append((entry, self._plan(entry.job, now_ms)))
            except Exception:
                log.exception("job %s of %s has no next slot", entry.job.id, entry.job.installation)
                self._count("scheduler_job_broken", 1)
                moves.append(Move(entry, entry.job.next_run_ms, now_ms + BROKEN_MS))
        if self._clock.monotonic() - started > STALE_S:
            return []
        try:
            refused = await self._enqueue([e.job for e, _ in planned], [f for _, f in planned], now_ms)
        except Exception:
            # Give the claim back, so that the next turn meets the same trouble, or its end, and not an empty due set.
            await self._store.settle(shard, [Move(e, e.job.next_run_ms, now_ms) for e in claim.entries])
            raise
        for entry, firing in planned:
            if entry.job.installation in refused:
                moves.append(Move(entry, entry.job.next_run_ms, now_ms + OVERLOADED_MS))
            else:
                moves.append(Move(entry, firing.next_ms))
                if firing.dropped:
                    self._count("scheduler_slots_dropped", 1)
        return moves

    def _plan(self, job: Job, now_ms: int) -> Firing:
        assert job.next_run_ms is not None
        if job.cron is None:
            following: Callable[[int], int | None] = lambda _: None  # noqa: E731 - a one-off has no other slot
        else:
            following = self._parse(job.cron, job.timezone).next_after
        grace_ms = int(self._options.misfire_grace_s * 1000)
        return fire(job, job.next_run_ms, now_ms, following, grace_ms, self._options.catch_up)

    async def _enqueue(self, jobs: Sequence[Job], firings: Sequence[Firing], now_ms: int) -> set[InstallationId]:
        """Enqueue everything; returns the installations whose backlog is full, of which nothing was enqueued."""
        wanted: dict[InstallationId, list[Delivery]] = defaultdict(list)
        for job, firing in zip(jobs, firings, strict=True):
            wanted[job.installation] += [slot_delivery(job, slot, now_ms) for slot in firing.slots]
        everything = [d for deliveries in wanted.values() for d in deliveries]
        if not everything:
            return set()
        try:
            answers = await self._deliveries.enqueue(everything)
        except ShowgroundError as error:
            if error.code == "store_unavailable":
                raise
            # One installation's trouble is not the others'.
            refused = set()
            for installation, deliveries in wanted.items():
                try:
                    await self._deliveries.enqueue(deliveries)
                except ShowgroundError as its:
                    if its.code == "store_unavailable":
                        raise
                    log.warning("slots of %s wait: %s", installation, its)
                    refused.add(installation)
                    self._count("scheduler_slots_refused", len(deliveries))
            return refused
        self._count("scheduler_slots_enqueued", sum(answer != "duplicate" for answer in answers))
        self._count("scheduler_lateness_s", max(0.0, (now_ms - min(d.due_at_ms for d in everything)) / 1000))
        return set()

    def _count(self, name: str, value: float) -> None:
        self._observe(HostEvent(name=name, at_ms=self._clock.now_ms(), value=value))
