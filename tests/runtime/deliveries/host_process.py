"""A host reduced to its delivery runner: `host_process.py <redis url> <key prefix> <host id> <lease seconds>`.

Says `ready`, then `start <delivery> <attempt>` and `end <delivery> <attempt>`, and `fenced` when it learns that another
host took a delivery over.
A delivery named `Gated` ends when `<prefix>:gate` is set.
"""

import asyncio
import signal
import sys
from pathlib import Path

from showground.clock import SystemClock
from showground.deliveries import DeliverySettings, RedisDeliveries, Runner
from showground.keys import KeySpace
from showground.model import Delivery, HostEvent
from showground.redis.deployment import open_redis


async def main(url: str, prefix: str, host: str, lease_s: float) -> None:
    ended = asyncio.Event()
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, ended.set)

    def observe(event: HostEvent) -> None:
        if event.name in ("delivery_fenced", "delivery_lease_lost"):
            print("fenced", flush=True)

    async with open_redis(url, Path(), deadline_s=2.0) as redis:

        async def handle(delivery: Delivery, attempt: int) -> bytes:
            print(f"start {delivery.id} {attempt}", flush=True)
            while delivery.name == "Gated" and not await redis.call("EXISTS", f"{prefix}:gate"):  # noqa: ASYNC110 - the gate is in Redis
                await asyncio.sleep(0.02)
            print(f"end {delivery.id} {attempt}", flush=True)
            return f'"{host}"'.encode()

        queue = RedisDeliveries(redis, KeySpace(prefix), SystemClock(), DeliverySettings(lease_s=lease_s), observe)
        async with Runner(queue, handle, host_id=host, drain_s=0.3):
            print("ready", flush=True)
            await ended.wait()


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1], sys.argv[2], sys.argv[3], float(sys.argv[4])))
