"""What was given up, per installation: look at it, have it tried again, or throw it away."""

from __future__ import annotations

from collections.abc import Sequence

import msgspec

from showground.deliveries import upkeep_scripts
from showground.deliveries.queue import RedisDeliveries
from showground.deliveries.records import DeadLetter, decode_letter, encode
from showground.errors import ShowgroundError
from showground.keys import InstallationId

_PAGE = 500


class DeadLetters:
    """At most `dead_letters` of an installation, for `dead_letter_age_s`; the oldest give way, and are counted."""

    def __init__(self, queue: RedisDeliveries) -> None:
        self._queue = queue

    async def count(self, installation: InstallationId) -> int:
        return int(await self._queue.redis.call("HLEN", self._key("dead", installation)))

    async def list(self, installation: InstallationId, limit: int = 100, offset: int = 0) -> Sequence[DeadLetter]:
        """Newest first."""
        ids = await self._queue.redis.call(
            "ZREVRANGE", self._key("deadz", installation), offset, offset + min(limit, _PAGE) - 1
        )
        if not ids:
            return []
        stored = await self._queue.redis.call("HMGET", self._key("dead", installation), *ids)
        return [decode_letter(installation, raw) for raw in stored if raw is not None]

    async def show(self, installation: InstallationId, delivery: str) -> DeadLetter:
        """Errors: `not_found`."""
        stored = await self._queue.redis.call("HGET", self._key("dead", installation), delivery)
        if stored is None:
            raise ShowgroundError(
                "not_found",
                f"{installation} has no dead letter {delivery!r}",
                "dead-letters",
                "List them: it may have been redriven, purged, or grown too old.",
            )
        return decode_letter(installation, stored)

    async def redrive(self, installation: InstallationId, delivery: str) -> None:
        """Take one out and enqueue it as new: same id (so the same idempotency key), attempts from 1, age from 0.

        Errors: `not_found`; `overloaded`, and it stays where it is.
        """
        letter = await self.show(installation, delivery)
        if not await self._redrive(installation, [letter]):
            await self.show(installation, delivery)

    async def redrive_all(self, installation: InstallationId) -> int:
        """Redrive all that are there now, oldest first; returns how many. Errors: `overloaded`; the rest stays where it is."""
        ids = await self._queue.redis.call("ZRANGE", self._key("deadz", installation), 0, -1)
        n = 0
        for start in range(0, len(ids), _PAGE):
            stored = await self._queue.redis.call("HMGET", self._key("dead", installation), *ids[start : start + _PAGE])
            n += await self._redrive(installation, [decode_letter(installation, raw) for raw in stored if raw])
        return n

    async def _redrive(self, installation: InstallationId, letters: Sequence[DeadLetter]) -> int:
        now_ms = self._queue.clock.now_ms()
        deliveries = [msgspec.structs.replace(letter.delivery, created_at_ms=now_ms) for letter in letters]
        answers = await self._queue.offer(deliveries, redrive=True) if deliveries else []
        if "overloaded" in answers:
            raise ShowgroundError(
                "overloaded",
                f"the backlog of {installation} is full",
                "dead-letters",
                "Redrive again when the app has caught up.",
                retry_after=5.0,
            )
        return sum(answer == "new" for answer in answers)

    async def purge(self, installation: InstallationId, delivery: str) -> None:
        """Throw one away. Errors: `not_found`."""
        if not await self._purge(installation, [delivery]):
            await self.show(installation, delivery)

    async def purge_all(self, installation: InstallationId) -> int:
        """Throw away all that are there now; returns how many."""
        ids = [raw.decode() for raw in await self._queue.redis.call("ZRANGE", self._key("deadz", installation), 0, -1)]
        n = 0
        for start in range(0, len(ids), _PAGE):
            n += await self._purge(installation, ids[start : start + _PAGE])
        return n

    async def _purge(self, installation: InstallationId, ids: Sequence[str]) -> int:
        return int(await self._queue.shards.of(installation).run(upkeep_scripts.PURGE, installation, encode(ids)))

    def _key(self, kind: str, installation: InstallationId) -> str:
        return self._queue.shards.of(installation).key(kind, installation)
