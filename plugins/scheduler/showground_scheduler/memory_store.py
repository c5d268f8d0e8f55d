"""Jobs in this process's memory: for unit tests, and as the shortest statement of what a store does."""

from __future__ import annotations

from collections import deque
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass

import msgspec

from showground.capabilities import Job
from showground.keys import InstallationId
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

MINUTE_MS = 60_000
GONE_MS = 3_600_000


@dataclass(slots=True)
class _Held:
    entry: Entry
    look_ms: int | None
    """When a claim may take it."""


class MemoryStore:
    """One shard. Nothing awaits, so each method is atomic."""

    shards = 1

    def __init__(self, now_ms: Callable[[], int]) -> None:
        self._now_ms = now_ms
        self._held: dict[str, _Held] = {}
        self._creations: dict[InstallationId, deque[int]] = {}
        self._gone: dict[InstallationId, int] = {}
        self._on_due: list[Callable[[int, int], None]] = []

    def _of(self, installation: InstallationId) -> list[Entry]:
        return [h.entry for h in self._held.values() if h.entry.job.installation == installation]

    async def now_ms(self, installation: InstallationId) -> int:
        return self._now_ms()

    async def create(self, job: Job, now_ms: int, quota: Quota | None) -> str:
        owned = self._of(job.installation)
        if self._gone.get(job.installation, 0) > self._now_ms():
            raise uninstalled(job.installation)
        replaced = next((e for e in owned if job.key and e.job.key == job.key and e.job.static == job.static), None)
        if quota is not None:
            self._admit(job, replaced, owned, now_ms, quota)
        generation = 1
        if replaced is not None:
            old = replaced.job
            same = (old.cron, old.run_at_ms, old.timezone) == (job.cron, job.run_at_ms, job.timezone)
            next_ms = None if old.paused else old.next_run_ms if same else job.next_run_ms
            job = msgspec.structs.replace(job, id=old.id, paused=old.paused, next_run_ms=next_ms)
            generation = replaced.generation + 1
        self._put(Entry(job, generation))
        return job.id

    def _admit(self, job: Job, replaced: Entry | None, owned: Sequence[Entry], now_ms: int, quota: Quota) -> None:
        made = self._creations.setdefault(job.installation, deque())
        while made and made[0] <= now_ms - MINUTE_MS:
            made.popleft()
        if quota.creations_per_minute and len(made) >= quota.creations_per_minute:
            raise creation_rate(quota.creations_per_minute, (made[0] + MINUTE_MS - now_ms) / 1000)
        recurring = job.cron is not None
        if replaced is None or (replaced.job.cron is not None) != recurring:
            alike = sum((e.job.cron is not None) == recurring for e in owned)
            if recurring and alike >= quota.recurring_jobs:
                raise recurring_quota(quota.recurring_jobs)
            if not recurring and alike >= quota.one_off_jobs:
                raise one_off_quota(quota.one_off_jobs)
        if quota.creations_per_minute:
            made.append(now_ms)

    def _put(self, entry: Entry) -> None:
        due = entry.job.next_run_ms
        self._held[entry.job.id] = _Held(entry, due)
        if due is not None:
            for tell in self._on_due:
                tell(0, due)

    async def get(self, installation: InstallationId, job_id: str) -> Entry | None:
        held = self._held.get(job_id)
        return held.entry if held is not None and held.entry.job.installation == installation else None

    async def is_free(self, installation: InstallationId, job_id: str) -> bool:
        return job_id not in self._held or await self.get(installation, job_id) is not None

    async def all_of(self, installation: InstallationId) -> Sequence[Entry]:
        return self._of(installation)

    async def remove(self, installation: InstallationId, job_id: str) -> bool:
        return await self.get(installation, job_id) is not None and self._held.pop(job_id, None) is not None

    async def switch(self, entry: Entry, next_ms: int | None) -> bool:
        held = self._held.get(entry.job.id)
        if held is None or held.entry.generation != entry.generation:
            return False
        job = msgspec.structs.replace(held.entry.job, paused=next_ms is None, next_run_ms=next_ms)
        self._put(Entry(job, entry.generation + 1))
        return True

    async def keep_static(self, installation: InstallationId, names: Sequence[str]) -> None:
        self._gone.pop(installation, None)
        for entry in self._of(installation):
            if entry.job.static and entry.job.name not in names:
                del self._held[entry.job.id]

    async def clear(self, installation: InstallationId) -> None:
        for entry in self._of(installation):
            del self._held[entry.job.id]
        self._creations.pop(installation, None)
        self._gone[installation] = self._now_ms() + GONE_MS

    async def claim(self, shard: int, limit: int, hold_ms: int) -> Claim:
        now_ms = self._now_ms()
        waiting = sorted((h.look_ms, i) for i, h in self._held.items() if h.look_ms is not None)
        due = [self._held[i] for at, i in waiting if at <= now_ms][:limit]
        for held in due:
            held.look_ms = now_ms + hold_ms
        wake = min((h.look_ms for h in self._held.values() if h.look_ms is not None), default=None)
        return Claim(now_ms, tuple(h.entry for h in due), wake, len(due) == limit)

    async def settle(self, shard: int, moves: Sequence[Move]) -> None:
        for move in moves:
            job = move.entry.job
            held = self._held.get(job.id)
            if held is None or held.entry != move.entry:
                continue
            if move.next_ms is None:
                del self._held[job.id]
                continue
            moved = msgspec.structs.replace(job, next_run_ms=move.next_ms)
            held.entry = Entry(moved, held.entry.generation)
            held.look_ms = move.next_ms if move.wake_ms is None else move.wake_ms

    @asynccontextmanager
    async def pokes(self, on_due: Callable[[int, int], None]) -> AsyncIterator[None]:
        self._on_due.append(on_due)
        try:
            yield
        finally:
            self._on_due.remove(on_due)
