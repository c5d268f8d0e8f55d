"""One shard of the delivery queue: its keys, and its scripts as typed calls."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Literal, NamedTuple

import msgspec

from showground.clock import Clock
from showground.deliveries import scripts
from showground.deliveries.limits import DeliverySettings
from showground.deliveries.records import NOTHING, encode
from showground.keys import InstallationId, KeySpace
from showground.redis.api import Arg, Redis, Reply, Script

What = Literal["t", "x", "r", "u", "b"]
"""What became of a claim: ended, dead, again, again and not counted, given back untouched."""


class Ack(msgspec.Struct, frozen=True, array_like=True):
    """How a claim ended; the order of fields is what the script reads."""

    installation: str
    id: str
    token: str
    what: What
    group: str = ""
    outcome: msgspec.Raw = NOTHING
    delay_ms: int = 0
    letter: msgspec.Raw = NOTHING


class Claim(NamedTuple):
    name: str
    """`installation|id`."""
    token: str
    """`<attempt> <fencing number>`: the number grows with each claim, so an older token is of a claim that was lost."""
    stored: bytes

    @property
    def attempt(self) -> int:
        return int(self.token.partition(" ")[0])


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
        now, due, more, dropped, refused, flat = await self.run(
            scripts.TURN,
            settings.lease_ms,
            host,
            settings.concurrency,
            want,
            settings.dead_letters,
            settings.dead_letter_age_ms,
            encode(acks),
        )
        now_ms = int(now)
        return Turn(
            now_ms=now_ms,
            next_due_s=None if due == b"-1" else max(0.0, (float(due) - now_ms) / 1000),
            more=more == 1,
            dropped_letters=dropped,
            refused=refused,
            claims=[
                Claim(name.decode(), token.decode(), stored)
                for name, token, stored in zip(*[iter(flat)] * 3, strict=True)
            ],
        )

    async def renew(self, held: Sequence[tuple[str, str]], settings: DeliverySettings) -> Sequence[int]:
        """Extend the leases of (name, token); returns the positions of those that somebody else holds now."""
        lost: Sequence[int] = await self.run(scripts.RENEW, settings.lease_ms, encode(held))
        return lost


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
