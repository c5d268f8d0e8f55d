"""Jobs in Redis: one hash and one due set per shard, one index per installation, all of one slot, changed by scripts only.

`sg:{n}:scheduler:jobs`          job id → record (msgpack, below)
`sg:{n}:scheduler:due`           job id, scored by when to look at it: its next slot, or later while a host has claimed it
`sg:{n}:scheduler:index:<inst>`  `j:<id>`; `k:<key>` and `s:<static name>` → id; `#r`, `#o` → how many recurring and one-off jobs
`sg:{n}:scheduler:rate:<inst>`   the times of the last creations; expires
`sg:{n}:scheduler:gone:<inst>`   there for an hour after an uninstall
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import AsyncExitStack, asynccontextmanager

import msgspec

from showground.capabilities import Job
from showground.clock import Clock
from showground.keys import InstallationId, KeySpace
from showground.redis.api import Arg, Redis
from showground_scheduler import scripts
from showground_scheduler.store import (
    Claim,
    Entry,
    Move,
    Quota,
    creation_rate,
    one_off_quota,
    recurring_quota,
    uninstalled,
)

PERMANENT = ("scheduler:jobs", "scheduler:due", "scheduler:index:*")


class _Record(msgspec.Struct, array_like=True, frozen=True):
    """As the scripts pack it. The definition stays opaque to Lua, whose JSON would turn an empty list into a map."""

    id: str
    """Not in the definition: an upsert keeps the id of what it replaces."""
    installation: str
    kind: str
    index: str
    times: str
    generation: int
    next_ms: int
    paused: int
    definition: str


_records = msgspec.msgpack.Decoder(_Record)
_jobs = msgspec.json.Decoder(Job)
_encode = msgspec.msgpack.Encoder().encode


def _entry(raw: bytes) -> Entry:
    record = _records.decode(raw)
    job = msgspec.structs.replace(
        _jobs.decode(record.definition),
        id=record.id,
        paused=bool(record.paused),
        next_run_ms=None if record.paused else record.next_ms,
    )
    return Entry(job, record.generation)


class RedisStore:
    """Every promise of `JobStore`, on any number of hosts. Its time is Redis' own, unless it is given a *clock*."""

    def __init__(self, redis: Redis, keys: KeySpace, clock: Clock | None = None) -> None:
        self._redis = redis
        self._keys = keys
        self._clock = clock

    @property
    def shards(self) -> int:
        return self._keys.shards

    def _shared(self, shard: int) -> list[str]:
        return [self._keys.shard(shard, "scheduler", "jobs"), self._keys.shard(shard, "scheduler", "due")]

    def _own(self, installation: InstallationId) -> list[str]:
        """The keys of every script about one installation."""
        shard = self._keys.shard_of(installation)
        own = [self._keys.shard(shard, "scheduler", part, installation) for part in ("index", "rate", "gone")]
        return [*self._shared(shard), *own, self._poke(shard)]

    def _poke(self, shard: int) -> str:
        return self._keys.shard(shard, "scheduler", "poke")

    async def now_ms(self, installation: InstallationId) -> int:
        if self._clock is not None:
            return self._clock.now_ms()
        return int(await self._redis.run(scripts.NOW, self._shared(self._keys.shard_of(installation))))

    async def create(self, job: Job, now_ms: int, quota: Quota | None) -> str:
        assert job.next_run_ms is not None
        recurring = job.cron is not None
        limit = 0
        if quota is not None:
            limit = quota.recurring_jobs if recurring else quota.one_off_jobs
        index = ""
        if job.key:
            index = ("s:" if job.static else "k:") + job.key
        times = f"{job.cron} {job.timezone}" if recurring else str(job.run_at_ms)
        stored = msgspec.structs.replace(job, next_run_ms=None, paused=False)
        args: list[Arg] = [
            *(now_ms, job.id, job.installation, "r" if recurring else "o", index, times, job.next_run_ms),
            *(msgspec.json.encode(stored), limit, quota.creations_per_minute if quota else 0),
            self._redis.publish_command,
        ]
        status, detail = await self._redis.run(scripts.CREATE, self._own(job.installation), args)
        if status == b"ok":
            return str(detail.decode())
        if status == b"gone":
            raise uninstalled(job.installation)
        assert quota is not None
        if status == b"rate":
            raise creation_rate(quota.creations_per_minute, int(detail) / 1000)
        raise recurring_quota(limit) if recurring else one_off_quota(limit)

    async def get(self, installation: InstallationId, job_id: str) -> Entry | None:
        shard = self._keys.shard_of(installation)
        raw = await self._redis.call("HGET", self._shared(shard)[0], job_id)
        entry = None if raw is None else _entry(raw)
        return entry if entry is not None and entry.job.installation == installation else None

    async def is_free(self, installation: InstallationId, job_id: str) -> bool:
        # Another shard has its own ids: nothing of a job is kept outside of its installation's shard.
        raw = await self._redis.call("HGET", self._shared(self._keys.shard_of(installation))[0], job_id)
        return raw is None or _entry(raw).job.installation == installation

    async def all_of(self, installation: InstallationId) -> Sequence[Entry]:
        found = await self._redis.run(scripts.LIST, self._own(installation))
        return [_entry(raw) for raw in found]

    async def remove(self, installation: InstallationId, job_id: str) -> bool:
        return bool(await self._redis.run(scripts.REMOVE, self._own(installation), [job_id, installation]))

    async def switch(self, entry: Entry, next_ms: int | None) -> bool:
        job = entry.job
        args: list[Arg] = [job.id, job.installation, entry.generation, -1 if next_ms is None else next_ms]
        return bool(
            await self._redis.run(scripts.SWITCH, self._own(job.installation), [*args, self._redis.publish_command])
        )

    async def keep_static(self, installation: InstallationId, names: Sequence[str]) -> None:
        await self._redis.run(scripts.KEEP_STATIC, self._own(installation), list(names))

    async def clear(self, installation: InstallationId) -> None:
        await self._redis.run(scripts.CLEAR, self._own(installation))

    async def claim(self, shard: int, limit: int, hold_ms: int) -> Claim:
        given = 0 if self._clock is None else self._clock.now_ms()
        now_ms, wake, *raws = await self._redis.run(scripts.CLAIM, self._shared(shard), [given, limit, hold_ms])
        entries = tuple(_entry(raw) for raw in raws)
        return Claim(now_ms, entries, int(float(wake)) if wake else None, len(raws) == limit)

    async def settle(self, shard: int, moves: Sequence[Move]) -> None:
        indexes: dict[InstallationId, int] = {}
        batch: list[tuple[int, str, int, int | None, int, int | None]] = []
        for move in moves:
            job = move.entry.job
            index = indexes.setdefault(job.installation, len(indexes) + 1)
            next_ms = -1 if move.next_ms is None else move.next_ms
            wake_ms = next_ms if move.wake_ms is None else move.wake_ms
            batch.append((index, job.id, move.entry.generation, job.next_run_ms, next_ms, wake_ms))
        keys = [self._keys.shard(shard, "scheduler", "index", installation) for installation in indexes]
        await self._redis.run(scripts.SETTLE, [*self._shared(shard), *keys], [_encode(batch)])

    @asynccontextmanager
    async def pokes(self, on_due: Callable[[int, int], None]) -> AsyncIterator[None]:
        shard_of = {self._poke(n): n for n in range(self.shards)}

        def reset(channels: Sequence[str]) -> None:
            # What was said meanwhile is lost: look at once.
            for channel in channels:
                on_due(shard_of[channel], 0)

        async with AsyncExitStack() as stack:
            subscriber = await stack.enter_async_context(
                self._redis.subscriber(lambda channel, due: on_due(shard_of[channel], int(due)), reset)
            )
            for channel in shard_of:
                # One call each: in cluster mode each shard is a slot of its own.
                await subscriber.subscribe(channel)
            yield
