"""Jobs for a run: planned through the app, and which slots of them must have come."""

from __future__ import annotations

import asyncio
import random
import time
from dataclasses import dataclass, field
from typing import Any

from chaos.cluster import Cluster

AT_ONCE = 25
CATCH_UP_S = 30.0
"""The longest wait for slots that are late."""
HISTORY = 50
"""Outcomes that a job remembers (docs/deliveries.md); a run must not have more slots of one job than that."""


@dataclass
class PlannedJob:
    """A job, and the times between which it was planned."""

    community: str
    key: str
    seconds: tuple[int, ...]
    """Of each minute; empty for a one-off."""
    at_ms: int | None
    id: str = ""
    asked_ms: int = 0
    planned_ms: int = 0

    def must(self, stopped_ms: int) -> set[int]:
        """Slots after it was planned and before anybody asked for its end."""
        if self.at_ms is not None:
            return {self.at_ms} if self.planned_ms < self.at_ms <= stopped_ms else set()
        return self._slots(self.planned_ms, stopped_ms)

    def may(self, ended_ms: int) -> set[int]:
        if self.at_ms is not None:  # one in the past when it was planned runs at once
            return set(range(self.at_ms, max(self.at_ms, self.planned_ms) + 1))
        return self._slots(self.asked_ms - 1000, ended_ms)

    def is_once(self, stopped_ms: int) -> bool:
        """Whether it must have run exactly once by now."""
        return self.at_ms is not None and self.at_ms <= stopped_ms

    def _slots(self, after_ms: int, until_ms: int) -> set[int]:
        first = after_ms // 1000 + 1
        return {s * 1000 for s in range(first, until_ms // 1000 + 1) if s % 60 in self.seconds}


@dataclass
class Jobs:
    """All jobs of a run, in several communities."""

    cluster: Cluster
    planned: list[PlannedJob] = field(default_factory=list)
    stopped_ms: int = 0
    ended_ms: int = 0

    async def plan(self, communities: list[str], count: int, seconds: float, rng: random.Random) -> None:
        """*count* jobs, three recurring for each two one-offs, spread over *communities*."""
        periods = [p for p in (10, 12, 15, 20, 30, 60) if seconds / p < HISTORY - 10] or [60]
        now_ms = _now_ms()
        for number in range(count):
            community = communities[number % len(communities)]
            if number % 5 < 3:
                period = rng.choice(periods)
                times = tuple(range(rng.randrange(period), 60, period))
                self.planned.append(PlannedJob(community, f"r{number}", times, None))
            else:
                at_ms = now_ms + int(rng.uniform(3, max(4, seconds - 2)) * 1000)
                self.planned.append(PlannedJob(community, f"o{number}", (), at_ms))
        for community in communities:
            own = [job for job in self.planned if job.community == community]
            for start in range(0, len(own), AT_ONCE):
                await self._plan(community, own[start : start + AT_ONCE])

    async def _plan(self, community: str, jobs: list[PlannedJob]) -> None:
        wanted = [
            {
                "key": job.key,
                "cron": f"{','.join(map(str, job.seconds))} * * * * *" if job.seconds else None,
                "at_ms": job.at_ms,
            }
            for job in jobs
        ]
        asked_ms = _now_ms()
        ids = await invoke(self.cluster, community, "chaos.plan", {"jobs": wanted})
        for job, job_id in zip(jobs, ids, strict=True):
            job.id, job.asked_ms, job.planned_ms = job_id, asked_ms, _now_ms()

    async def stop(self, communities: list[str]) -> None:
        self.stopped_ms = _now_ms()
        for community in communities:
            await self._caught_up(community)
            await invoke(self.cluster, community, "chaos.stop", {})
        self.ended_ms = _now_ms()

    async def _caught_up(self, community: str) -> None:
        """Wait until every slot until now was enqueued: one that its end overtakes never comes, rightly.

        Not for ever; what has not come by then is the judge's to tell.
        """
        deadline = time.monotonic() + CATCH_UP_S
        while time.monotonic() < deadline:
            jobs = (await self.cluster.insist("GET", f"/api/v1/communities/{community}/apps/ledger/jobs"))["jobs"]
            if all(job["next_run_ms"] > self.stopped_ms for job in jobs):
                return
            await asyncio.sleep(0.05)

    async def histories(self) -> dict[str, list[dict[str, Any]]]:
        """Job id → its outcomes."""
        found: dict[str, list[dict[str, Any]]] = {}

        async def ask(job: PlannedJob) -> None:
            path = f"/api/v1/communities/{job.community}/apps/ledger/jobs/{job.id}/history?limit=100"
            found[job.id] = (await self.cluster.insist("GET", path))["runs"]

        for start in range(0, len(self.planned), AT_ONCE):
            await asyncio.gather(*map(ask, self.planned[start : start + AT_ONCE]))
        return found


async def invoke(cluster: Cluster, community: str, event: str, payload: dict[str, Any]) -> Any:
    return await cluster.insist("POST", f"/api/v1/communities/{community}/apps/ledger/invoke/{event}", json=payload)


def _now_ms() -> int:
    return time.time_ns() // 1_000_000
