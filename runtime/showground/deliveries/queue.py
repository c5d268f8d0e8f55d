"""The durable delivery queue: `showground.capabilities.Deliveries` on Redis."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from typing import Literal

import msgspec

from showground.capabilities import Enqueued
from showground.clock import Clock
from showground.deliveries import scripts, upkeep_scripts
from showground.deliveries.limits import HISTORY_OUTCOMES, WEEK_MS, DeliverySettings
from showground.deliveries.records import PENDING, decode_outcome, encode, encode_letter, encode_outcome, packed
from showground.deliveries.shard import Shard, Shards
from showground.errors import Problem, ShowgroundError
from showground.keys import InstallationId, KeySpace
from showground.model import Delivery, HostEvent, Outcome, Overlap
from showground.redis.api import Redis

Offered = Literal["new", "duplicate", "skipped", "overloaded", "missing"]
_ANSWERS: dict[str, Offered] = {
    "n": "new",
    "d": "duplicate",
    "s": "skipped",
    "o": "overloaded",
    "m": "missing",
}
_CHUNK = 1000
"""Deliveries per script call, so that no call holds Redis for longer than a few milliseconds."""


def _ignore(event: HostEvent) -> None:
    pass


class RedisDeliveries:
    """At-least-once deliveries. All of an installation is on one shard, so what one call does there is atomic.

    The queue's time (when a delivery is due, when a lease ends, how old it is) is Redis' own, because hosts' clocks differ.
    With *host_time* it is that of *clock* instead, for tests that move time. Outcomes' times are the hosts', for people.
    """

    def __init__(
        self,
        redis: Redis,
        keys: KeySpace,
        clock: Clock,
        settings: DeliverySettings | None = None,
        observe: Callable[[HostEvent], None] = _ignore,
        *,
        host_time: bool = False,
        host_id: str = "",
    ) -> None:
        """*host_id*: who claims here, if anybody does. Where no host is busy with a shard, it looks first at what is new."""
        self._host_id = host_id
        self.redis = redis
        self.clock = clock
        self.settings = settings if settings is not None else DeliverySettings()
        self.observe = observe
        self.shards = Shards(redis, keys, clock if host_time else None)

    async def enqueue(self, deliveries: Sequence[Delivery]) -> Sequence[Enqueued]:
        """Durable when it returns. The answers are in the order of *deliveries*.

        All-or-nothing per installation (and thousand of its deliveries), not over several: with `overloaded`, what was for
        other installations is enqueued.
        Since ids dedupe, the whole call may simply be repeated. `offer` tells which was which without raising.
        """
        answers = await self.offer(deliveries)
        if "overloaded" in answers:
            full = sorted({d.installation for d, a in zip(deliveries, answers, strict=True) if a == "overloaded"})
            raise ShowgroundError(
                "overloaded",
                f"the backlog of {', '.join(full[:5])} is full ({self.settings.backlog} deliveries are outstanding)",
                "deliveries",
                "Wait until the app has caught up, or look why it does not.",
                retry_after=5.0,
                details=[Problem(installation, "its backlog is full") for installation in full[:50]],
            )
        return answers  # type: ignore[return-value]  # "overloaded" was handled, "missing" is for redriven ones only

    async def offer(self, deliveries: Sequence[Delivery], *, redrive: bool = False) -> Sequence[Offered]:
        """Like `enqueue`, but an installation whose backlog is full is told by the answer `overloaded`.

        With *redrive* the deliveries are taken out of the dead letters; `missing` is what was not there any more.
        """
        answers: list[Offered] = ["new"] * len(deliveries)
        by_shard = self.shards.group([delivery.installation for delivery in deliveries])
        if len(by_shard) == 1:
            ((number, positions),) = by_shard.items()
            await self._offer(number, deliveries, positions, answers, redrive)
        else:
            await asyncio.gather(
                *(self._offer(number, deliveries, at, answers, redrive) for number, at in by_shard.items())
            )
        return answers

    async def _offer(
        self, number: int, deliveries: Sequence[Delivery], at: list[int], answers: list[Offered], redrive: bool
    ) -> None:
        by_installation: dict[InstallationId, list[int]] = {}
        for position in at:
            by_installation.setdefault(deliveries[position].installation, []).append(position)
        batch: list[tuple[object, ...]] = []
        order: list[int] = []
        shard, now_ms = self.shards.all[number], self.clock.now_ms()
        for installation, positions in by_installation.items():
            prefix = shard.stored_key(installation, "")
            for start in range(0, len(positions), _CHUNK):
                part = positions[start : start + _CHUNK]
                if batch and len(order) + len(part) > _CHUNK:
                    await self._send(shard, batch, order, answers, redrive)
                    batch, order = [], []
                batch.append(_columns(installation, prefix, [deliveries[p] for p in part], now_ms, redrive))
                order.extend(part)
        if batch:
            await self._send(shard, batch, order, answers, redrive)

    async def _send(
        self, shard: Shard, batch: object, order: Sequence[int], answers: list[Offered], redrive: bool
    ) -> None:
        reply = await shard.run(scripts.ENQUEUE, self.settings.backlog, int(redrive), self._host_id, encode(batch))
        for position, letter in zip(order, reply.decode(), strict=True):
            answers[position] = _ANSWERS[letter]

    async def bury(self, deliveries: Sequence[tuple[Delivery, ShowgroundError]]) -> None:
        """Put deliveries that can't be enqueued straight among the dead letters, where they can be redriven."""
        now_ms = self.clock.now_ms()
        entries: dict[int, list[object]] = {}
        for number, positions in self.shards.group([delivery.installation for delivery, _ in deliveries]).items():
            for position in positions:
                delivery, error = deliveries[position]
                delivery = _stamped(delivery, now_ms)
                outcome = encode_outcome(delivery.id, "dead", 0, 0, now_ms, error=error)
                letter = encode_letter(delivery, outcome)
                entries.setdefault(number, []).append(
                    (delivery.installation, delivery.id, packed(outcome), packed(letter))
                )
        dropped = 0
        for number, batch in entries.items():
            dropped += await self.shards.all[number].run(
                upkeep_scripts.BURY, self.settings.dead_letters, self.settings.dead_letter_age_ms, encode(batch)
            )
        self.count_dropped(dropped)

    def count_dropped(self, letters: int) -> None:
        """Tell observers that *letters* dead letters gave way to newer ones or grew too old."""
        if letters:
            self.observe(HostEvent(name="dead_letters_dropped", at_ms=self.clock.now_ms(), value=float(letters)))

    async def backlog(self, installation: InstallationId) -> int:
        """How many deliveries of *installation* have not ended: waiting, running or to be tried again."""
        return int(await self.redis.call("HLEN", self.shards.of(installation).key("out", installation)))

    async def history(self, installation: InstallationId, group: str, limit: int = 20) -> Sequence[Outcome]:
        """The last outcomes of *group*, newest first: at most 50, at most 7 days old."""
        limit = min(limit, HISTORY_OUTCOMES)
        stored = await self.shards.of(installation).run(scripts.HISTORY, installation, group, limit)
        oldest = self.clock.now_ms() - WEEK_MS
        outcomes = [decode_outcome(installation, memoryview(raw)[1:]) for raw in stored]
        return [outcome for outcome in outcomes if outcome.finished_at_ms >= oldest]

    async def clear(self, installation: InstallationId) -> None:
        """Forget everything outstanding, the history and the dead letters. What runs now is cancelled within half a lease,
        and its outcome is refused. Ids of what ended in the last 24 h still dedupe."""
        shard = self.shards.of(installation)
        while await shard.run(upkeep_scripts.CLEAR, installation):
            pass


def _stamped(delivery: Delivery, now_ms: int) -> Delivery:
    return delivery if delivery.created_at_ms else msgspec.structs.replace(delivery, created_at_ms=now_ms)


def _columns(
    installation: InstallationId, prefix: str, deliveries: Sequence[Delivery], now_ms: int, redrive: bool
) -> tuple[object, ...]:
    """What the script gets of *deliveries*, all of *installation*."""
    ids = [delivery.id for delivery in deliveries]
    groups: list[str] = []
    overlaps: list[Overlap] = []
    dues: list[int] = []
    if any(delivery.group for delivery in deliveries):
        groups = [delivery.group for delivery in deliveries]
        # an operator who redrives wants it run, if later
        overlaps = ["queue" if redrive and d.overlap == "skip" else d.overlap for d in deliveries]
    if not redrive and any(delivery.due_at_ms for delivery in deliveries):
        dues = [delivery.due_at_ms for delivery in deliveries]
    return (
        installation,
        len(set(ids)) < len(ids),
        ids,
        [prefix + id for id in ids],
        [packed(PENDING + encode(_stamped(delivery, now_ms))) for delivery in deliveries],
        groups,
        overlaps,
        dues,
    )
