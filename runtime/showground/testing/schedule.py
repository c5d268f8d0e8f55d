"""Time in a playground: what is outstanding, and a clock that lets it become due and run."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from contextlib import suppress
from datetime import timedelta
from typing import Any

import msgspec

from showground.capabilities import SCHEDULER
from showground.deliveries import DeadLetters, RedisDeliveries
from showground.keys import InstallationId, split_installation
from showground.model import Outcome
from showground.testing.clock import MovableClock
from showground.testing.host import HostUnderTest
from showground.testing.waiting import eventually

PATIENCE_S = 10.0
LOG_PATIENCE_S = 1.0
LOG_LINES = 20


class Work:
    """Events and jobs of the apps that are watched, and what became of them."""

    def __init__(
        self,
        host: HostUnderTest,
        deliveries: RedisDeliveries,
        clock: MovableClock,
        failure: Callable[[str], Exception],
    ) -> None:
        self._host = host
        self._deliveries = deliveries
        self._letters = DeadLetters(deliveries)
        self._clock = clock
        self._failure = failure
        self._watched: list[InstallationId] = []
        self._known: set[tuple[InstallationId, str, int]] = set()

    def watch(self, installation: InstallationId) -> None:
        if installation not in self._watched:
            self._watched.append(installation)

    async def next_due_ms(self) -> int | None:
        """When the next job fires, or the next retry; None when nothing is planned."""
        scheduler = self._host.host.plugins.provider(SCHEDULER)
        times: list[int] = []
        for installation in self._watched:
            jobs = await scheduler.list_jobs(installation)
            times += [job.next_run_ms for job in jobs if job.next_run_ms is not None and not job.paused]
            times += await self._later(installation)
        return min(times, default=None)

    async def settle(self) -> None:
        """Until nothing that is due is outstanding. Raises for what was given up since the last time."""
        await eventually(self._is_idle, PATIENCE_S)
        for installation in self._watched:
            for letter in await self._letters.list(installation):
                await self._raise(letter.outcome, f"the {letter.delivery.kind} {letter.delivery.name} failed")
            for outcome in await self._job_failures(installation):
                await self._raise(outcome, "a job failed")

    async def _raise(self, outcome: Outcome, what: str) -> None:
        seen = (outcome.installation, outcome.delivery, outcome.finished_at_ms)
        if seen not in self._known:
            self._known.add(seen)
            raise self._failure(await self.told(outcome.installation, what, outcome.error))

    async def _job_failures(self, installation: InstallationId) -> list[Outcome]:
        """A job whose own code raised has ended as failed, without a dead letter; its history tells."""
        redis = self._deliveries.redis
        weeks = redis.scan(self._deliveries.shards.of(installation).key("hi", f"{installation}|*"))
        groups = {group.decode() async for week in weeks for group in await redis.call("HKEYS", week)}
        histories = [await self._deliveries.history(installation, group) for group in groups]
        return [outcome for history in histories for outcome in history if outcome.status == "failed"]

    async def _is_idle(self) -> bool:
        due = await self.next_due_ms()
        if due is not None and due <= self._clock.now_ms():
            return False
        for installation in self._watched:
            if await self._deliveries.backlog(installation) > len(await self._later(installation)):
                return False
        return True

    async def _later(self, installation: InstallationId) -> list[int]:
        """When each delivery that waits for its time is due, such as a retry."""
        shard = self._deliveries.shards.of(installation)
        flat = await self._deliveries.redis.call("ZRANGE", shard.key("due"), 0, -1, "WITHSCORES")
        mine = f"{installation}|".encode()
        return [int(float(at)) for name, at in zip(flat[::2], flat[1::2], strict=True) if name.startswith(mine)]

    async def told(self, installation: InstallationId, what: str, error: Mapping[str, Any] | None) -> str:
        """A failure's message: what happened, the error, and the last lines that the app wrote."""
        app, community = split_installation(installation)
        path = f"/api/v1/communities/{community}/apps/{app}/logs?limit={LOG_LINES}"
        apps: Any = self._host.host.plugins._manager.get_plugin("apps")
        lines: list[Any] = []

        async def read() -> bool:
            await apps._logs.flush()
            async with self._host.client.get(self._host.host.url + path) as response:
                lines[:] = [msgspec.json.decode(line) for line in (await response.text()).splitlines() if line]
            return bool(lines)

        with suppress(AssertionError):  # a handler that wrote nothing is no fault
            await eventually(read, LOG_PATIENCE_S)
        written = "\n".join(f"  {line['level']}: {line['text']}" for line in lines) or "  (nothing)"
        return f"{app}: {what}: {error}\nits log ends with:\n{written}"


class PlaygroundClock:
    """The clock of a playground's host. It runs as time does, and `advance` puts it ahead.

    It moves the scheduler, retries, deadlines and tickets. It does not move what reads another clock: `time.time()` in the
    app, the expiry of Redis keys, and a viewer's intervals, which are `viewer.tick()`'s.
    """

    def __init__(self, clock: MovableClock, work: Work) -> None:
        self._clock = clock
        self._work = work

    @property
    def now_ms(self) -> int:
        """Milliseconds since 1970 UTC."""
        return self._clock.now_ms()

    async def advance(self, **by: float) -> None:
        """Let time pass: `advance(minutes=5)`, with the arguments of `timedelta`.

        It goes from one due job to the next, and each runs to its end before time moves on, so none is missed or merged.
        Raises `AppFailed` when one failed.
        """
        target = self._clock.monotonic() + timedelta(**by).total_seconds()
        await self._work.settle()
        while (left := target - self._clock.monotonic()) > 0:
            due = await self._work.next_due_ms()
            wait = left if due is None else max(0.001, min(left, (due - self._clock.now_ms()) / 1000))
            self._clock.move(wait)
            await self._work.settle()
            await asyncio.sleep(0)
