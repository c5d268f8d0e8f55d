"""Figures of the delivery queue alone: enqueue, drain with a handler that does nothing, and the intake of events.

    python bench/deliveries/run.py [--n 20000] [--rounds 5]

A real Redis (the embedded server, append-only file, fsync each second) and one host in this process, on uvloop. What a worker
costs is not in here; `bench/` measures the whole path elsewhere. Each figure is the median of the rounds, with their range.
"""

from __future__ import annotations

import argparse
import asyncio
import platform
import statistics
import tempfile
import time
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import uvloop

from showground.clock import SystemClock
from showground.deliveries import DeliverySettings, RedisDeliveries, Runner
from showground.events import Catalogue, Event, Intake
from showground.keys import KeySpace, installation_id
from showground.model import AppVersion, Delivery, Installation, Registration, TriggerSpec
from showground.redis.api import Redis
from showground.redis.deployment import open_redis
from showground.redis.server import ServerProcess

PAYLOAD = (
    b'{"type":"PostCreate","post":{"id":"t3_1","title":"A title of an ordinary length","selftext":"and some text"}}'
)


def installations(n: int) -> Sequence[Installation]:
    registration = Registration(triggers=(TriggerSpec(event="PostCreate"),))
    return [
        Installation(
            id=installation_id(f"app{k}", "town"),
            app=f"app{k}",
            community="town",
            version=AppVersion(app=f"app{k}", version="1.0.0", digest="d", entry="main.py", registration=registration),
            installed_at_ms=1,
        )
        for k in range(n)
    ]


@dataclass
class Everyone:
    """Everything is installed in the one community and listens to everything."""

    installed: Sequence[Installation]

    def subscribers(self, community: str, event: str) -> Sequence[Installation]:
        return self.installed


async def redis_cpu(redis: Redis) -> float:
    """Seconds of processor time that the server's main thread has used."""
    fields = dict(line.split(":", 1) for line in (await redis.call("INFO", "cpu")).decode().split() if ":" in line)
    return float(fields["used_cpu_user_main_thread"]) + float(fields["used_cpu_sys_main_thread"])


async def drained(queue: RedisDeliveries, ended: asyncio.Event, apps: Sequence[Installation]) -> None:
    await ended.wait()
    while any([await queue.backlog(app.id) for app in apps]):  # noqa: ASYNC110 - the last acks are on their way
        await asyncio.sleep(0.001)


async def drain(
    redis: Redis, n: int, apps: Sequence[Installation], concurrency: int, grouped: bool
) -> dict[str, float]:
    """Enqueue *n*, then let one runner run them: what A10 and D1 rest on."""
    settings = DeliverySettings(backlog=10**9, concurrency=concurrency)
    queue = RedisDeliveries(redis, KeySpace(), SystemClock(), settings)
    deliveries = [
        Delivery(
            id=f"d{k}",
            installation=apps[k % len(apps)].id,
            kind="job" if grouped else "trigger",
            name="PostCreate",
            payload=PAYLOAD,
            group=f"job{k}" if grouped else "",
        )
        for k in range(n)
    ]
    started = time.perf_counter()
    for start in range(0, n, 1000):
        await queue.enqueue(deliveries[start : start + 1000])
    enqueued = time.perf_counter()
    left, ended = n, asyncio.Event()

    async def nothing(delivery: Delivery, attempt: int) -> bytes:
        nonlocal left
        left -= 1
        if left == 0:
            ended.set()
        return b"null"

    before = await redis_cpu(redis)
    cpu = time.process_time()
    async with Runner(queue, nothing, host_id="bench"):
        await drained(queue, ended, apps)
        seconds = time.perf_counter() - enqueued
        cpu = time.process_time() - cpu
    return {
        "enqueue/s": n / (enqueued - started),
        "claim→run→ack/s": n / seconds,
        "host CPU µs each": cpu / n * 1e6,
        "Redis CPU µs each": (await redis_cpu(redis) - before) / n * 1e6,
    }


async def intake(redis: Redis, n: int, apps: Sequence[Installation], batch: int) -> dict[str, float]:
    """Accept *n* events in batches (of one: 64 callers at once) and run their deliveries meanwhile."""
    clock = SystemClock()
    queue = RedisDeliveries(redis, KeySpace(), clock, DeliverySettings(backlog=10**9, concurrency=256))
    door = Intake(queue, Catalogue(), Everyone(apps), KeySpace(), clock, lambda event: None)
    total, ran, ended = n * len(apps), 0, asyncio.Event()

    async def nothing(delivery: Delivery, attempt: int) -> bytes:
        nonlocal ran
        ran += 1
        if ran == total:
            ended.set()
        return b"null"

    data = PAYLOAD
    events = [Event(id=str(k), source="/bench", type="PostCreate", community="town", data=data) for k in range(n)]
    batches = iter([events[start : start + batch] for start in range(0, n, batch)])

    async def send() -> None:
        for part in batches:
            await door.accept(part)

    before = await redis_cpu(redis)
    cpu = time.process_time()
    started = time.perf_counter()
    async with Runner(queue, nothing, host_id="bench"):
        await asyncio.gather(*(send() for _ in range(64 if batch == 1 else 4)))
        accepted = time.perf_counter() - started
        await drained(queue, ended, apps)
        handled = time.perf_counter() - started
        host_cpu = time.process_time() - cpu
    return {
        "accepted/s": n / accepted,
        "accepted and handled/s": total / handled,
        "host CPU µs each": host_cpu / n * 1e6,
        "Redis CPU µs each": (await redis_cpu(redis) - before) / n * 1e6,
    }


Case = Callable[[Redis], Awaitable[dict[str, float]]]


def cases(n: int) -> dict[str, Case]:
    few, many = installations(16), installations(500)
    return {
        "16 installations, 8 at once each": lambda redis: drain(redis, n, few, 8, False),
        "1 installation, 8 at once": lambda redis: drain(redis, n, few[:1], 8, False),
        "1 installation, 100 at once": lambda redis: drain(redis, n, few[:1], 100, False),
        "500 installations, 8 at once each": lambda redis: drain(redis, n, many, 8, False),
        "one-off jobs with a group each, 1 installation, 100 at once": lambda redis: drain(
            redis, n, few[:1], 100, True
        ),
        "events in batches of 100, 1 listener": lambda redis: intake(redis, n, few[:1], 100),
        "events one by one from 64 callers, 1 listener": lambda redis: intake(redis, n // 2, few[:1], 1),
    }


async def measure(case: Case) -> dict[str, float]:
    with tempfile.TemporaryDirectory(prefix="bench") as folder:
        server = ServerProcess(Path(folder))
        server.start()
        try:
            server.wait_ready(30)
            async with open_redis(server.url, Path(), deadline_s=30.0) as redis:
                return await case(redis)
        finally:
            server.close()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--n", type=int, default=20_000)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--only", default="", help="run the cases whose name has this in it")
    arguments = parser.parse_args()
    print(f"{platform.processor() or platform.machine()}, {platform.python_version()}, n={arguments.n}")
    every = {name: case for name, case in cases(arguments.n).items() if arguments.only in name}
    found: dict[str, list[dict[str, float]]] = {name: [] for name in every}
    for _ in range(arguments.rounds):
        for name, case in every.items():
            found[name].append(uvloop.run(measure(case)))
    for name, rounds in found.items():
        print(name)
        for figure in rounds[0]:
            values = sorted(round_[figure] for round_ in rounds)
            print(f"    {figure:24} {statistics.median(values):12,.1f}   ({values[0]:,.1f} to {values[-1]:,.1f})")


if __name__ == "__main__":
    main()
