"""C1: 64 concurrent `context.redis.get` from a handler, isolation included, beside redis-py's pool in process."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from harness import ours, processes
from harness.redis import redis
from harness.rounds import Benchmark, Figures, Goal, Scale, over, wait_for_quiet
from harness.work import SERVERS


@contextmanager
def open_gets(scale: Scale) -> Iterator[Callable[[], Figures]]:
    each = 50 if scale.quick else 300
    with (
        redis(scale, "redis") as url,
        ours.host(scale.folder, "process", {"redis": {"url": url}}, name="gets") as host,
        processes.process(
            [sys.executable, str(SERVERS / "redis_pool.py"), url],
            scale.folder / "pool.log",
            stdout=subprocess.PIPE,
        ) as pool,
    ):
        host.invoke("PostSubmit", {"each": 5})

        def one_round() -> Figures:
            wait_for_quiet()
            mine = host.invoke("PostSubmit", {"each": each})
            wait_for_quiet()
            assert pool.stdin is not None
            assert pool.stdout is not None
            pool.stdin.write(b"%d\n" % each)
            pool.stdin.flush()
            theirs = json.loads(pool.stdout.readline())
            return {
                "context.redis.get/s": mine["gets"] / mine["seconds"],
                "redis-py pool get/s": theirs["gets"] / theirs["seconds"],
            }

        yield one_round


GOALS = (
    Goal("C1", "64 x context.redis.get / redis-py's pool", over("context.redis.get/s", "redis-py pool get/s"), 2, 4),
)

BENCHMARKS = (Benchmark("redis", "64 concurrent gets from a handler", GOALS, open_gets),)
