"""The capability itself, the same over every store."""

from __future__ import annotations

import uuid
from collections.abc import AsyncIterator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from functools import lru_cache

import msgspec

from showground.capabilities import Job
from showground.errors import ShowgroundError
from showground.hookspecs import Services
from showground.keys import InstallationId
from showground.model import Installation, Outcome
from showground.tasks import Tasks
from showground_scheduler.cron import Cron
from showground_scheduler.definition import LAST_MS, define, first_slot
from showground_scheduler.loop import Loop, delivery
from showground_scheduler.memory_store import MemoryStore
from showground_scheduler.options import Options
from showground_scheduler.redis_store import RedisStore
from showground_scheduler.store import Entry, JobStore, Quota, recurring_quota

PARSED = 1024
"""Expressions that a scheduler remembers; the least recently used is forgotten first."""


class JobScheduler:
    """Implements `showground.capabilities.Scheduler`."""

    def __init__(self, store: JobStore, services: Services) -> None:
        self._store = store
        self._deliveries = services.deliveries
        self._options = Options.read(services.options)
        self._parse = lru_cache(maxsize=PARSED)(Cron.parse)
        self.loop = Loop(store, self._deliveries, services.clock, self._options, self._parse, services.observe)

    async def run_job(self, job: Job) -> str:
        now_ms = await self._store.now_ms(job.installation)
        defined = define(msgspec.structs.replace(job, id="", static=False), now_ms, self._parse, self._options)
        options = self._options
        quota = Quota(options.recurring_jobs, options.one_off_jobs, options.creations_per_minute)
        return await self._store.create(defined, now_ms, quota)

    async def cancel_job(self, installation: InstallationId, job_id: str) -> bool:
        entry = await self._store.get(installation, job_id)
        if entry is not None and entry.job.static:
            raise ShowgroundError(
                "forbidden",
                "Unable to cancel action.",
                f"job {job_id}",
                "It is declared in app.json: pause it, or remove it there and upgrade.",
            )
        return await self._store.remove(installation, job_id)

    async def list_jobs(self, installation: InstallationId) -> Sequence[Job]:
        jobs = [entry.job for entry in await self._store.all_of(installation)]
        return sorted(jobs, key=lambda j: (j.next_run_ms is None, j.next_run_ms or 0, j.id))

    async def pause(self, installation: InstallationId, job_id: str) -> None:
        await self._switch(installation, job_id, paused=True)

    async def resume(self, installation: InstallationId, job_id: str) -> None:
        await self._switch(installation, job_id, paused=False)

    async def _switch(self, installation: InstallationId, job_id: str, *, paused: bool) -> None:
        for _ in range(10):
            job = (entry := await self._get(installation, job_id)).job
            if job.paused == paused:
                return
            now_ms = await self._store.now_ms(installation)
            next_ms = None if paused else first_slot(job, now_ms, self._parse)
            if await self._store.switch(entry, next_ms):
                return
        raise ShowgroundError("conflict", f"job {job_id} is being changed by others", "scheduler", "Try again.")

    async def _get(self, installation: InstallationId, job_id: str) -> Entry:
        entry = await self._store.get(installation, job_id)
        if entry is None:
            raise ShowgroundError(
                "not_found", f"{installation} has no job {job_id!r}", "scheduler", "One-off jobs vanish when they fire."
            )
        return entry

    async def run_now(self, installation: InstallationId, job_id: str) -> str:
        job = (await self._get(installation, job_id)).job
        now_ms = await self._store.now_ms(installation)
        extra = delivery(job, f"{job.id}@now-{uuid.uuid4().hex}", now_ms, now_ms)
        if list(await self._deliveries.enqueue([extra])) == ["skipped"]:
            raise ShowgroundError(
                "conflict", f"a run of job {job_id} is outstanding", "scheduler", 'Wait for it, or use overlap="queue".'
            )
        return extra.id

    async def history(self, installation: InstallationId, job_id: str, limit: int = 20) -> Sequence[Outcome]:
        return await self._deliveries.history(installation, job_id, limit)

    async def sync_static(self, installation: Installation) -> None:
        static = installation.version.registration.static_jobs
        if len(static) > self._options.recurring_jobs:
            raise recurring_quota(self._options.recurring_jobs)
        now_ms = await self._store.now_ms(installation.id)
        jobs = [
            Job(
                id="",
                name=spec.name,
                installation=installation.id,
                cron=spec.cron,
                timezone=spec.timezone,
                data=spec.data or None,
                key=spec.name,
                misfire=spec.misfire,
                overlap=spec.overlap,
                static=True,
            )
            for spec in static
        ]
        # Everything is checked before anything is changed.
        defined = [define(job, now_ms, self._parse, self._options) for job in jobs]
        await self._store.keep_static(installation.id, [job.name for job in defined])
        for job in defined:
            await self._store.create(job, now_ms, None)

    async def load(self, job: Job) -> str:
        if job.static:
            own = next((j for j in await self.list_jobs(job.installation) if j.static and j.name == job.name), None)
            if own is None:
                return ""
            await self._switch(job.installation, own.id, paused=job.paused)
            return own.id
        now_ms = await self._store.now_ms(job.installation)
        kept = job.id if await self._store.is_free(job.installation, job.id) else ""
        defined = define(msgspec.structs.replace(job, id=kept), now_ms, self._parse, self._options)
        first = LAST_MS if job.paused else defined.next_run_ms  # nothing fires before it is paused
        defined = msgspec.structs.replace(defined, created_at_ms=job.created_at_ms, next_run_ms=first)
        made = await self._store.create(
            defined, now_ms, Quota(self._options.recurring_jobs, self._options.one_off_jobs)
        )
        await self._switch(job.installation, made, paused=job.paused)
        return made

    async def clear(self, installation: InstallationId) -> None:
        await self._store.clear(installation)

    def tick_age_s(self) -> float:
        return self.loop.tick_age_s()


@asynccontextmanager
async def running(store: JobStore, services: Services) -> AsyncIterator[JobScheduler]:
    scheduler = JobScheduler(store, services)
    async with AsyncExitStack() as stack:
        await stack.enter_async_context(store.pokes(scheduler.loop.poke))
        tasks = await stack.enter_async_context(Tasks())
        tasks.start("scheduler", scheduler.loop.run())
        yield scheduler


@asynccontextmanager
async def redis_scheduler(services: Services) -> AsyncIterator[JobScheduler]:
    """Jobs in Redis, one loop per host, each slot enqueued once whichever host is first."""
    store = RedisStore(services.redis, services.keys, services.clock if services.host_time else None)
    async with running(store, services) as scheduler:
        yield scheduler


@asynccontextmanager
async def memory_scheduler(services: Services) -> AsyncIterator[JobScheduler]:
    """Jobs in this process, gone when it ends: for unit tests."""
    async with running(MemoryStore(services.clock.now_ms), services) as scheduler:
        yield scheduler
