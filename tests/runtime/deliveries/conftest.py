"""A host reduced to its delivery runner: in this process, or in one of its own that can be killed and stopped."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from showground.clock import Clock, SystemClock
from showground.deliveries import DeliverySettings, Handle, Outcomes, RedisDeliveries, Runner
from showground.errors import ShowgroundError
from showground.keys import InstallationId, KeySpace, installation_id
from showground.model import Delivery, HostEvent
from showground.redis.api import Redis

APP = installation_id("app", "town")


@dataclass
class Bench:
    """Queues and runners over one Redis. `ran` is (delivery id, attempt) in order of start."""

    redis: Redis
    keys: KeySpace
    url: str
    ran: list[tuple[str, int]] = field(default_factory=list)
    events: list[HostEvent] = field(default_factory=list)

    def queue(self, clock: Clock | None = None, host_id: str = "", **settings: float) -> RedisDeliveries:
        """With a *clock* given, the queue's time is that clock's. *host_id* is whose runner looks first at what is enqueued where
        none has claimed within the last two seconds; the others leave it some time, which is the clock's."""
        return RedisDeliveries(
            self.redis,
            self.keys,
            clock or SystemClock(),
            DeliverySettings(**settings),  # type: ignore[arg-type]  # ints where ints are due
            self.events.append,
            host_time=clock is not None,
            host_id=host_id,
        )

    def runner(
        self,
        queue: RedisDeliveries,
        handle: Handle | None = None,
        host: str = "here",
        drain_s: float = 5.0,
        clock: Clock | None = None,
    ) -> Runner:
        async def note(delivery: Delivery, attempt: int) -> bytes:
            self.ran.append((delivery.id, attempt))
            return await (handle or _by_name)(delivery, attempt)

        return Runner(queue, note, host_id=host, drain_s=drain_s, clock=clock)

    def counted(self, name: str) -> float:
        return sum(event.value for event in self.events if event.name == name)

    @asynccontextmanager
    async def process(self, host: str, *, lease_s: float = 30.0) -> AsyncIterator[HostProcess]:
        process = await asyncio.create_subprocess_exec(
            sys.executable,
            str(Path(__file__).with_name("host_process.py")),
            self.url,
            self.keys.prefix,
            host,
            str(lease_s),
            stdout=asyncio.subprocess.PIPE,
        )
        started = HostProcess(process)
        try:
            await started.says("ready")
            yield started
        finally:
            if process.returncode is None:
                process.kill()
            await process.wait()


class HostProcess:
    def __init__(self, process: asyncio.subprocess.Process) -> None:
        self._process = process

    def send(self, signum: int) -> None:
        self._process.send_signal(signum)

    async def says(self, line: str) -> None:
        """Wait until it has printed *line*."""
        assert self._process.stdout is not None
        async with asyncio.timeout(20):
            while (raw := await self._process.stdout.readline()).decode().strip() != line:
                assert raw, f"the process ended before it said {line!r}"

    async def ended(self) -> int:
        async with asyncio.timeout(20):
            return await self._process.wait()


async def _by_name(delivery: Delivery, attempt: int) -> bytes:
    if delivery.name == "Fails":
        raise ShowgroundError("app_error", "boom", "main.py:3")
    if delivery.name == "Hangs":
        await asyncio.Event().wait()
    return b'"ok"'


@pytest.fixture
def bench(redis: Redis, redis_url: str, keys: KeySpace) -> Bench:
    return Bench(redis, keys, redis_url)


Make = Callable[..., Delivery]


@pytest.fixture
def make() -> Make:
    """`make("id", "Name", **fields)`: a delivery."""

    def build(id: str, name: str = "Works", to: InstallationId = APP, **fields: object) -> Delivery:
        return Delivery(
            **{"id": id, "installation": to, "kind": "trigger", "name": name, "payload": b"{}"} | fields  # type: ignore[arg-type]
        )

    return build


Wait = Callable[..., Awaitable[list[str]]]


@pytest.fixture
def wait() -> Wait:
    """`await wait(queue, "id", …)`: how they ended, as words."""

    async def statuses(
        queue: RedisDeliveries, *ids: str, to: InstallationId = APP, timeout_s: float = 10.0
    ) -> list[str]:
        async with Outcomes(queue) as outcomes:
            found = await outcomes.wait([(to, id) for id in ids], timeout_s)
        return [outcome.status if outcome else "" for outcome in found]

    return statuses
