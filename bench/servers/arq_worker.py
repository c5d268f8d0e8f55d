"""arq, poll 0.05 s, 100 jobs at once. A line on stdin plans jobs (`jobs`, `at_ms`, `every_ms`); it answers when all have run."""

import asyncio
import json
import sys
import time
from datetime import UTC, datetime
from urllib.parse import urlsplit

import uvloop
from arq import create_pool
from arq.connections import ArqRedis, RedisSettings
from arq.worker import Worker, func


class Runs:
    """How late each run was, in ms, and when the last of those that are wanted has come."""

    def __init__(self) -> None:
        self.late_ms: list[float] = []
        self.wanted = 0
        self.all = asyncio.Event()

    async def tick(self, ctx: dict[str, object], due: float) -> None:
        self.late_ms.append((time.time() - due) * 1000)
        if len(self.late_ms) == self.wanted:
            self.all.set()


def settings(url: str) -> RedisSettings:
    parts = urlsplit(url)
    return RedisSettings(unix_socket_path=parts.path, password=parts.password)


async def run(pool: ArqRedis, runs: Runs, order: dict[str, float]) -> dict[str, object]:
    runs.late_ms, runs.wanted = [], int(order["jobs"])
    runs.all.clear()
    numbers = iter(range(runs.wanted))

    async def plan() -> None:
        for k in numbers:
            due = (order["at_ms"] + k * order["every_ms"]) / 1000
            await pool.enqueue_job("tick", due, _defer_until=datetime.fromtimestamp(due, UTC))

    await asyncio.gather(*(plan() for _ in range(16)))
    planned = time.time()
    await runs.all.wait()
    return {"planned": planned, "last": time.time(), "late_ms": sorted(runs.late_ms)}


async def main() -> None:
    pool, runs = await create_pool(settings(sys.argv[1])), Runs()
    worker = Worker(
        [func(runs.tick, name="tick")],
        redis_pool=pool,
        poll_delay=0.05,
        max_jobs=100,
        keep_result=0,
        handle_signals=False,
        health_check_interval=3600,
    )
    working = asyncio.create_task(worker.async_run())
    while line := await asyncio.to_thread(sys.stdin.readline):
        print(json.dumps(await run(pool, runs, json.loads(line))), flush=True)
    working.cancel()


uvloop.run(main())
