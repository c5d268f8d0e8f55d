"""APScheduler's asyncio scheduler with the memory store: N jobs due at once, in process, nothing durable."""

import asyncio
import json
import sys
import time
from datetime import UTC, datetime, timedelta

import uvloop
from apscheduler.executors.asyncio import AsyncIOExecutor
from apscheduler.schedulers.asyncio import AsyncIOScheduler

ran: list[float] = []


async def tick() -> None:
    ran.append(time.time())


async def main() -> None:
    n = int(sys.argv[1])
    scheduler = AsyncIOScheduler(executors={"default": AsyncIOExecutor()}, timezone="UTC")
    scheduler.start()
    due = datetime.now(UTC) + timedelta(seconds=n * 0.0002 + 0.5)
    for _ in range(n):
        scheduler.add_job(tick, "date", run_date=due, misfire_grace_time=3600)
    while len(ran) < n:  # noqa: ASYNC110  # the jobs are counted, nothing waits for each
        await asyncio.sleep(0.005)
    print(json.dumps({"jobs": n, "seconds": max(ran) - due.timestamp()}))
    scheduler.shutdown(wait=False)


uvloop.run(main())
