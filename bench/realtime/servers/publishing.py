"""What every Python server of this benchmark does when it is told to publish. `publishing.js` is the same for Node.

One JSON document per line on stdin: `{"secs", "rate", "burst", "size", "subscribers", "received"}`; the answer on stdout is
`{"published", "cpu_s", "elapsed_s"}`. *rate* is turns per second, each of *burst* messages; 0 is as fast as the subscribers
take them: *received* names a file in which the swarm counts what arrived, and at most `WINDOW` turns are under way.
"""

from __future__ import annotations

import asyncio
import json
import mmap
import os
import sys
import time
from collections.abc import Awaitable, Callable

WINDOW = 64
"""Turns under way at most: few enough that the kernel's buffers hold them, so that no server gains by joining what piled up."""


def payload(size: int) -> str:
    """A JSON string of *size* bytes that carries the time it was made."""
    return f'"@{time.monotonic_ns():020d}'.ljust(size - 1, "x") + '"'


async def obey(port: int, publish: Callable[[list[str]], Awaitable[None]]) -> None:
    """Print *port*, then obey until stdin ends."""
    print(port, flush=True)
    reader = asyncio.StreamReader()
    await asyncio.get_running_loop().connect_read_pipe(lambda: asyncio.StreamReaderProtocol(reader), sys.stdin)
    while line := await reader.readline():
        answer = await run(json.loads(line), publish)
        print(json.dumps(answer), flush=True)


async def run(order: dict[str, object], publish: Callable[[list[str]], Awaitable[None]]) -> dict[str, float]:
    secs, rate, burst, size = (float(str(order[k])) for k in ("secs", "rate", "burst", "size"))
    subscribers = int(str(order["subscribers"]))
    descriptor = os.open(str(order["received"]), os.O_RDONLY)
    counter = mmap.mmap(descriptor, 8, prot=mmap.PROT_READ)
    os.close(descriptor)
    published, began, cpu = 0, time.monotonic(), time.process_time()
    base = int.from_bytes(counter[:8], "little")
    due = began
    while (now := time.monotonic()) - began < secs:
        if rate:
            due += 1 / rate
            await asyncio.sleep(max(0.0, due - now))
        while published - (int.from_bytes(counter[:8], "little") - base) // subscribers >= WINDOW * burst:
            await asyncio.sleep(0)
            if time.monotonic() - began > secs + 10:
                break
        await publish([payload(int(size)) for _ in range(int(burst))])
        published += int(burst)
        await asyncio.sleep(0)
    elapsed = time.monotonic() - began
    deadline = time.monotonic() + 10
    wanted = base + published * subscribers
    while int.from_bytes(counter[:8], "little") < wanted and time.monotonic() < deadline:  # noqa: ASYNC110  # another process counts
        await asyncio.sleep(0.005)
    return {
        "published": published,
        "cpu_s": time.process_time() - cpu,
        "elapsed_s": elapsed,
        "settled_s": time.monotonic() - began,
    }
