"""redis-py's asyncio pool with hiredis in process: 64 concurrent GETs. A line on stdin (gets per loop) runs a round."""

import asyncio
import json
import sys
import time

import redis.asyncio
import uvloop

CALLS_AT_ONCE = 64


async def main() -> None:
    pool = redis.asyncio.BlockingConnectionPool.from_url(sys.argv[1], max_connections=CALLS_AT_ONCE)
    client = redis.asyncio.Redis(connection_pool=pool)
    await client.set("bench", "v" * 100, ex=3600)

    async def loop(each: int) -> None:
        for _ in range(each):
            await client.get("bench")

    await asyncio.gather(*(loop(5) for _ in range(CALLS_AT_ONCE)))
    while line := await asyncio.to_thread(sys.stdin.readline):
        each = int(line)
        began = time.perf_counter()
        await asyncio.gather(*(loop(each) for _ in range(CALLS_AT_ONCE)))
        print(json.dumps({"gets": CALLS_AT_ONCE * each, "seconds": time.perf_counter() - began}), flush=True)


uvloop.run(main())
