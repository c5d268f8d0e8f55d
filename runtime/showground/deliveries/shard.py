"""One shard of the delivery queue: its keys, and its scripts as typed calls."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Literal, NamedTuple

from showground.clock import Clock
from showground.deliveries import scripts
from showground.deliveries.limits import DeliverySettings
from showground.deliveries.records import ENDED, encode, packed
from showground.keys import InstallationId, KeySpace
from showground.redis.api import Arg, Redis, Reply, Script

What = Literal["t", "x", "r", "u", "b"]
"""What became of a claim: ended, dead, again, again and not counted, given back untouched."""


class Claim(NamedTuple):
    installation: InstallationId
    id: str
    token: str
    """`<attempt> <since> <fencing number>`. *since*: from when its age counts, in ms of the queue's time. The number grows with
    each claim, so an older token is of a claim that was lost."""
    stored: bytes

    @property
    def name(self) -> str:
        return f"{self.installation}|{self.id}"


class Ack(NamedTuple):
    """How a claim ended."""

    claim: Claim
    what: What
    group: str = ""
    outcome: bytes = b""
    delay_ms: int = 0
    letter: bytes = b""


@dataclass(frozen=True, slots=True)
class Turn:
    """What one turn brought."""

    now_ms: int
    """The queue's time."""
    next_due_s: float | None
    """Seconds until the first delivery that is not due yet."""
    more: bool
    """Whether something could still be claimed."""
    dropped_letters: int
    refused: Sequence[int]
    """Positions of acks whose claim somebody else holds now; they changed nothing."""
    claims: Sequence[Claim] = field(default_factory=tuple)


@dataclass(frozen=True, slots=True)
class Shard:
    redis: Redis
    base: str
    clock: Clock | None
    """None: the queue's time is Redis' own."""

    @property
    def poke_channel(self) -> str:
        return f"{self.base}:poke"

    @property
    def outcomes_channel(self) -> str:
        return f"{self.base}:outcomes"

    def key(self, *parts: str) -> str:
        return ":".join((self.base, *parts))

    async def run(self, script: Script, *args: Arg) -> Reply:
        now = self.clock.now_ms() if self.clock is not None else 0
        return await self.redis.run(script, [self.base], [now, self.redis.publish_command, *args])

    async def turn(self, acks: Sequence[Ack], want: int, host: str, settings: DeliverySettings) -> Turn:
        """Hand in *acks* and claim up to *want* deliveries, atomically."""
        by_installation: dict[InstallationId, list[int]] = {}
        for position, ack in enumerate(acks):
            by_installation.setdefault(ack.claim.installation, []).append(position)
        columns = [
            self._columns(installation, [acks[p] for p in positions])
            for installation, positions in by_installation.items()
        ]
        now, due, more, dropped, refused, found = await self.run(
            scripts.TURN,
            settings.lease_ms,
            host,
            settings.concurrency,
            want,
            settings.dead_letters,
            settings.dead_letter_age_ms,
            encode(columns),
        )
        now_ms = int(now)
        ordered = list(by_installation.values())
        claims: list[Claim] = []
        for name, ids, tokens, stored in zip(*[iter(found)] * 4, strict=True):
            installation = InstallationId(name.decode())
            claims += [
                Claim(installation, id.decode(), token.decode(), data)
                for id, token, data in zip(ids, tokens, stored, strict=True)
            ]
        return Turn(
            now_ms=now_ms,
            next_due_s=None if due == b"-1" else max(0.0, (float(due) - now_ms) / 1000),
            more=more == 1,
            dropped_letters=dropped,
            refused=sorted(ordered[which][n] for which, n in zip(*[iter(refused)] * 2, strict=True)),
            claims=claims,
        )

    def stored_key(self, installation: InstallationId, delivery: str) -> str:
        return f"{self.base}:d:{installation}|{delivery}"

    def _columns(self, installation: InstallationId, acks: Sequence[Ack]) -> tuple[object, ...]:
        prefix = self.stored_key(installation, "")
        ids = [ack.claim.id for ack in acks]
        return (
            installation,
            ids,
            [prefix + id for id in ids],
            [ack.claim.token for ack in acks],
            [ack.what for ack in acks],
            [ack.group for ack in acks],
            [packed(ENDED + ack.outcome) for ack in acks],
            [ack.delay_ms for ack in acks],
            [packed(ack.letter) for ack in acks],
        )

    async def renew(self, held: Sequence[Claim], settings: DeliverySettings) -> Sequence[int]:
        """Extend the leases of *held*; returns the positions of those that somebody else holds now."""
        by_installation: dict[InstallationId, list[int]] = {}
        for position, claim in enumerate(held):
            by_installation.setdefault(claim.installation, []).append(position)
        columns = [
            (
                installation,
                [held[p].id for p in positions],
                [self.stored_key(installation, held[p].id) for p in positions],
                [held[p].token for p in positions],
            )
            for installation, positions in by_installation.items()
        ]
        lost = await self.run(scripts.RENEW, settings.lease_ms, encode(columns))
        ordered = list(by_installation.values())
        return sorted(ordered[which][n] for which, n in zip(*[iter(lost)] * 2, strict=True))


class Shards:
    """All shards of the deployment."""

    def __init__(self, redis: Redis, keys: KeySpace, clock: Clock | None) -> None:
        self._keys = keys
        self.all = tuple(Shard(redis, keys.shard(n, "deliveries"), clock) for n in range(keys.shards))

    def of(self, installation: InstallationId) -> Shard:
        return self.all[self._keys.shard_of(installation)]

    def group(self, installations: Sequence[InstallationId]) -> dict[int, list[int]]:
        """Positions of *installations* by the number of their shard."""
        positions: dict[int, list[int]] = {}
        for position, installation in enumerate(installations):
            positions.setdefault(self._keys.shard_of(installation), []).append(position)
        return positions
