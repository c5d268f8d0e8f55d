"""Which format the data of a deployment are in, and which hosts may share them: the contract of a rolling upgrade.

A *format* is a number for everything that hosts read of each other: records, keys and scripts in Redis, Pub/Sub messages. Adding
a field that older readers pass over is no new format; whatever they would misread is. A version of Showground reads the formats
from `OLDEST` to `NEWEST`, which are one or two, and writes the one that the deployment is in.

`sg:format` is a hash: `format`, the one in use; `shards`, fixed for the life of the deployment; `version`, which raised it last;
`raising`, the format that somebody is about to raise it to.

* A host announces what it speaks (`showground.ops.presence`), then looks here; it starts only when it reads the format in use.
* The format is raised once every host reads the next one, by any of them: it marks what it is about to do, then looks who runs.
  So of an older host that starts at this moment and the one that raises, whoever comes second sees the first.
* A host that was lost for a while, and overtaken, finds out with its next sign of life, and is not ready any more.

Hosts of versions N and N+1 therefore share a deployment in format N for as long as one of version N runs; from then on version N
does not start any more. This is CockroachDB's cluster version with automatic finalization
(https://www.cockroachlabs.com/docs/stable/upgrade-cockroach-version), and Kafka's inter.broker.protocol.version.
"""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Callable, Iterable
from dataclasses import dataclass
from importlib import metadata
from typing import Final

from showground.errors import ShowgroundError
from showground.keys import KeySpace
from showground.redis.api import Redis

log = logging.getLogger("showground.ops.formats")

OLDEST: Final = 1
NEWEST: Final = 1


@dataclass(frozen=True, slots=True)
class Speech:
    """Which formats one version of Showground reads, and is able to write."""

    oldest: int = OLDEST
    newest: int = NEWEST
    version: str = metadata.version("showground")

    def fault(self, format: int, by: str) -> str:
        """Why this version can't share data in *format*, or an empty text."""
        if format > self.newest:
            return (
                f"the data of this deployment are in format {format}, of Showground {by or '(a newer one)'}; "
                f"this is {self.version}, which reads up to {self.newest}"
            )
        if format < self.oldest:
            return (
                f"the data of this deployment are in format {format}, of Showground {by or '(an older one)'}; "
                f"this is {self.version}, which reads from {self.oldest} on"
            )
        return ""

    def remedy(self, format: int) -> str:
        if format > self.newest:
            return "Install that version or a newer one. There is no way back but a backup made before the upgrade."
        return "Run the version between them first; it raises the format once no older host runs."


class Formats:
    """One host's view of the format."""

    def __init__(self, redis: Redis, keys: KeySpace, speech: Speech) -> None:
        self._redis = redis
        self._key = keys.host("format")
        self._shards = keys.shards
        self._speech = speech
        self.current = 0
        """The format that this host writes now."""
        self.fault = ""
        """Why this host must not go on, once it was overtaken."""

    async def join(self) -> None:
        """Raises `misconfigured` when a host of this version, or with so many shards, must not run on these data."""
        await self._redis.pipeline(
            [("HSETNX", self._key, "format", "1"), ("HSETNX", self._key, "shards", str(self._shards))]
        )
        found = await self._read()
        shards = int(found["shards"])
        if shards != self._shards:
            raise ShowgroundError(
                "misconfigured",
                f"this deployment has {shards} shards, and the settings say {self._shards}",
                "redis.shards",
                f"Set shards = {shards} in the section [redis]: they are fixed for the life of a deployment.",
            )
        format = int(found["format"])
        # What is about to be raised is as good as raised: whoever does it may have looked for us already.
        for one in (format, max(format, int(found.get("raising", 0)))):
            fault = self._speech.fault(one, found.get("version", ""))
            if fault:
                raise ShowgroundError("misconfigured", fault, "redis", self._speech.remedy(one))
        self.current = format

    async def follow(self, running: Callable[[], Awaitable[Iterable[int]]]) -> None:
        """See what others have raised, and raise the format when every host reads the next.

        *running* tells the newest format that each host reads.
        """
        found = await self._read()
        format = int(found.get("format", 1))
        fault = self._speech.fault(format, found.get("version", ""))
        if fault and not self.fault:
            log.error("%s: this host was taken for gone, and must be upgraded and started again", fault)
        self.fault = fault
        if fault:
            return
        self.current = format
        next_format = format + 1
        if next_format > self._speech.newest or min(await running(), default=0) < next_format:
            return
        await self._redis.call("HSET", self._key, "raising", str(next_format))
        if min(await running(), default=0) < next_format:
            await self._redis.call("HDEL", self._key, "raising")
            return
        await self._redis.call("HSET", self._key, "format", str(next_format), "version", self._speech.version)
        await self._redis.call("HDEL", self._key, "raising")
        self.current = next_format
        log.info(
            "the data of this deployment are in format %d now; no older version can be started on them", next_format
        )

    async def _read(self) -> dict[str, str]:
        reply = await self._redis.call("HGETALL", self._key)
        pairs = reply.items() if isinstance(reply, dict) else zip(reply[::2], reply[1::2], strict=True)
        return {bytes(name).decode(): bytes(value).decode() for name, value in pairs}
