"""A host reduced to its scheduler, as a process to be killed and stopped: `host_process.py <redis url> <key prefix>`."""

import asyncio
import signal
import sys
from pathlib import Path

import uvloop

from showground.clock import SystemClock
from showground.deliveries.queue import RedisDeliveries
from showground.keys import KeySpace
from showground.redis.deployment import open_redis
from showground.testing.services import services
from showground_scheduler.scheduler import redis_scheduler


async def main(url: str, prefix: str) -> None:
    ended = asyncio.Event()
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, ended.set)
    keys, clock = KeySpace(prefix), SystemClock()
    async with open_redis(url, Path()) as redis:
        lent = services(
            {"claim_s": 0.5},
            redis=redis,
            keys=keys,
            clock=clock,
            deliveries=RedisDeliveries(redis, keys, clock),
            host_id=prefix,
        )
        async with redis_scheduler(lent):
            print("ready", flush=True)
            await ended.wait()


if __name__ == "__main__":
    uvloop.run(main(sys.argv[1], sys.argv[2]))
