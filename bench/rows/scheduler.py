"""D1 to D3: one-off jobs through the scheduler, the durable queue and an isolated worker, beside arq, celery and APScheduler."""

from __future__ import annotations

import json
import os
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from harness import ours, processes
from harness.redis import redis
from harness.rounds import Benchmark, Figures, Goal, Scale, over, value, wait_for_quiet
from harness.work import CELERY, PEERS_PYTHON, SERVERS

PER_S = 1250
SECTIONS = {
    "scheduler": {"creations_per_minute": 10**9, "one_off_jobs": 10**6},
    "deliveries": {"concurrency": 100, "backlog": 10**6},
}
"""The quotas lifted, and as many jobs at once as arq gets."""
PATIENCE_S = 120.0


def percentile(late_ms: Sequence[float], part: float) -> float:
    return late_ms[min(len(late_ms) - 1, int(len(late_ms) * part))]


def run_ours(host: ours.Host, jobs: int, lead_s: float, every_ms: float) -> dict[str, Any]:
    """Plan *jobs* and wait until all have run; what the app counted, and when the first was due."""
    at_ms = (time.time() + lead_s) * 1000
    host.invoke("CommentSubmit", {"jobs": jobs, "at_ms": at_ms, "every_ms": every_ms})
    if time.time() * 1000 > at_ms:
        raise RuntimeError(f"planning {jobs} jobs took longer than {lead_s:g} s")
    deadline = time.monotonic() + PATIENCE_S
    time.sleep(max(0.0, at_ms / 1000 - time.time() + jobs * every_ms / 1000))
    while (told := host.invoke("CommentUpdate", {"reset": False}))["events"] < jobs:
        if time.monotonic() > deadline:
            raise RuntimeError(f"{told['events']} of {jobs} jobs ran")
        time.sleep(0.2)
    host.invoke("CommentUpdate", {"reset": True})
    if told["events"] != jobs:
        raise RuntimeError(f"{told['events']} runs of {jobs} jobs")
    return {**told, "due": at_ms / 1000}


def run_arq(arq: subprocess.Popen[bytes], jobs: int, lead_s: float, every_ms: float) -> dict[str, Any]:
    at_ms = (time.time() + lead_s) * 1000
    assert arq.stdin is not None
    assert arq.stdout is not None
    arq.stdin.write(json.dumps({"jobs": jobs, "at_ms": at_ms, "every_ms": every_ms}).encode() + b"\n")
    arq.stdin.flush()
    told: dict[str, Any] = json.loads(arq.stdout.readline())
    if told["planned"] * 1000 > at_ms:
        raise RuntimeError(f"planning {jobs} jobs took longer than {lead_s:g} s")
    return {**told, "due": at_ms / 1000}


@contextmanager
def open_jobs(scale: Scale) -> Iterator[Callable[[], Figures]]:
    with (
        redis(scale, "jobs") as url,
        ours.host(scale.folder, "process", SECTIONS, name="scheduler") as host,
        processes.process(
            [str(PEERS_PYTHON), str(SERVERS / "arq_worker.py"), url], scale.folder / "arq.log", stdout=subprocess.PIPE
        ) as arq,
    ):
        host.invoke("CommentUpdate", {"reset": True})
        jobs, few = scale.jobs, scale.jobs // 5

        def one_round() -> Figures:
            figures: dict[str, float] = {}
            wait_for_quiet()
            told = run_ours(host, jobs, jobs / 1000 + 1, 0)
            figures["burst: jobs/s"] = jobs / (told["last"] - told["due"])
            figures["burst: arq jobs/s"] = arq_burst()
            figures["celery tasks/s"] = other(CELERY / "bin" / "python", [str(SERVERS / "celery_app.py"), str(few)])
            figures["APScheduler (memory) jobs/s"] = other(
                PEERS_PYTHON, [str(SERVERS / "apscheduler_memory.py"), str(jobs)]
            )
            wait_for_quiet()
            late = run_ours(host, PER_S * 2, PER_S * 2 / 1000 + 1, 1000 / PER_S)["late_ms"]
            figures[f"{PER_S}/s: late p50 ms"] = percentile(late, 0.5)
            figures[f"{PER_S}/s: late p99 ms"] = percentile(late, 0.99)
            late = run_arq(arq, PER_S * 2, PER_S * 2 / 1000 + 1, 1000 / PER_S)["late_ms"]
            figures[f"{PER_S}/s: arq late p99 ms"] = percentile(late, 0.99)
            return figures

        def arq_burst() -> float:
            told = run_arq(arq, few, few / 1000 + 1, 0)
            return float(few / (told["last"] - told["due"]))

        def other(python: Path, command: Sequence[str]) -> float:
            wait_for_quiet()
            with tempfile.TemporaryDirectory(dir=scale.folder) as folder:
                out = [str(Path(folder, "out")), str(Path(folder, "log"))] if "celery" in command[0] else []
                done = subprocess.run(
                    [str(python), *command, *out],
                    env={**os.environ, "BENCH_REDIS": url},
                    cwd=SERVERS,
                    capture_output=True,
                    text=True,
                    timeout=PATIENCE_S,
                    check=False,
                )
            if done.returncode:
                raise RuntimeError(f"{command[0]}: {done.stdout[-500:]}{done.stderr[-500:]}")
            told = json.loads(done.stdout)
            return float(told["jobs"]) / float(told["seconds"])

        yield one_round


GOALS = (
    Goal("D1", "burst of due jobs / arq (poll 0.05, 100 at once)", over("burst: jobs/s", "burst: arq jobs/s"), 8, 20),
    Goal("D2", "the same / celery, one process", over("burst: jobs/s", "celery tasks/s"), 15, 35),
    Goal("", "the same / APScheduler, memory, in process", over("burst: jobs/s", "APScheduler (memory) jobs/s"), 0, 0),
    Goal("D3", f"lateness p99 at {PER_S} jobs/s, ms", value(f"{PER_S}/s: late p99 ms"), 20, 5, low=True),
)

BENCHMARKS = (Benchmark("scheduler", "one-off jobs, durable, into an isolated worker", GOALS, open_jobs),)
