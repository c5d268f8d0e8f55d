"""A host of its own that publishes 100 messages at once when told to, and prints which were accepted.

publisher.py <redis URL> <key prefix> <number of this process>
"""

from __future__ import annotations

import asyncio
import json
import sys
from pathlib import Path

from showground.capabilities import Position
from showground.errors import ShowgroundError
from showground.keys import KeySpace, installation_id
from showground.redis.deployment import open_redis as connect
from showground.testing.services import services
from showground_realtime.channels import open_redis

GAME = installation_id("game", "playground")


async def main(url: str, prefix: str, number: str) -> None:
    async with connect(url, Path()) as redis:
        lent = services(redis=redis, keys=KeySpace(prefix=prefix), host_id=number)
        async with open_redis(lent) as realtime:
            print("ready", flush=True)
            await asyncio.to_thread(sys.stdin.readline)
            texts = [f'"{number}/{n}"' for n in range(100)]
            results = await asyncio.gather(
                *(realtime.publish(GAME, "events", text.encode()) for text in texts), return_exceptions=True
            )
    accepted = []
    for text, result in zip(texts, results, strict=True):
        if isinstance(result, Position):
            accepted.append((result.offset, text))
        elif not (isinstance(result, ShowgroundError) and result.code == "rate_limited"):
            raise SystemExit(f"unexpected: {result!r}")
    print(json.dumps(accepted))


if __name__ == "__main__":
    asyncio.run(main(*sys.argv[1:4]))
