"""A8 and A9: what a worker costs to start and to keep, beside a Python process that does the same without a zygote."""

from __future__ import annotations

import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from statistics import median

from harness import ours, processes
from harness.rounds import Benchmark, Figures, Goal, Scale, over, value
from harness.work import BUNDLE, SERVERS

WORKERS = 8
"""Alive at once: the proportional set size depends on how many share a page."""
IDLE_S = 2.0
PAYLOAD = {"post": {"id": "t3_1", "title": "t"}, "score": 1}


def plain(stack: ExitStack, folder: Path, number: int) -> subprocess.Popen[bytes]:
    command = [sys.executable, str(SERVERS / "plain_worker.py"), str(BUNDLE)]
    log = folder / f"plain{number}.log"
    child = stack.enter_context(processes.process(command, log, stdout=subprocess.PIPE))
    assert child.stdin is not None
    assert child.stdout is not None
    child.stdin.write(b"{}\n")
    child.stdin.flush()
    if not child.stdout.readline():
        raise processes.NotReady(log.read_text())
    return child


@contextmanager
def open_starts(scale: Scale) -> Iterator[Callable[[], Figures]]:
    """From the order to the answer of a first call, each in a version's first worker: fork or exec, load, run."""
    sections = {"workers": {"idle_s": IDLE_S}}
    with ExitStack() as every:
        hosts = {
            level: every.enter_context(ours.host(scale.folder, level, sections, name=f"starts-{level}"))
            for level in ("process", "confined")
        }
        names = [f"app-{k}" for k in range(WORKERS)]
        for host in hosts.values():
            for name in names:
                host.install(name=name)

        def settle(host: ours.Host) -> None:
            deadline = time.monotonic() + 20 * IDLE_S
            while host.tree()["workers"]:
                if time.monotonic() > deadline:
                    raise RuntimeError(f"workers that nobody calls are still there: {host.tree()}")
                time.sleep(0.1)

        def cold(host: ours.Host) -> float:
            """The median first call, less what the same call takes when the worker is there."""
            took = []
            for name in names:
                began = time.perf_counter()
                host.invoke("PostCreate", PAYLOAD, name)
                first = time.perf_counter() - began
                began = time.perf_counter()
                host.invoke("PostCreate", PAYLOAD, name)
                took.append(first - (time.perf_counter() - began))
            return median(took) * 1000

        def one_round() -> Figures:
            figures: dict[str, float] = {}
            for level, host in hosts.items():
                settle(host)
                figures[f"{level}: idle workers after {IDLE_S:g} s"] = len(host.tree()["workers"])
                figures[f"{level}: ready ms"] = cold(host)
                pids = host.tree()["workers"]
                assert len(pids) == WORKERS
                figures[f"{level}: PSS MB"] = median(map(processes.pss_kb, pids)) / 1024
                figures[f"{level}: private MB"] = median(map(processes.private_kb, pids)) / 1024
            with ExitStack() as stack, tempfile.TemporaryDirectory(dir=scale.folder) as folder:
                took, pids = [], []
                for number in range(WORKERS):
                    began = time.perf_counter()
                    pids.append(plain(stack, Path(folder), number).pid)
                    took.append(time.perf_counter() - began)
                figures["plain: ready ms"] = median(took) * 1000
                figures["plain: PSS MB"] = median(map(processes.pss_kb, pids)) / 1024
                figures["plain: private MB"] = median(map(processes.private_kb, pids)) / 1024
            return figures

        yield one_round


GOALS = (
    Goal(
        "A8",
        "worker ready, process / plain subprocess",
        over("process: ready ms", "plain: ready ms"),
        1 / 8,
        1 / 20,
        True,
    ),
    Goal("A8", "the same, confined", over("confined: ready ms", "plain: ready ms"), 1 / 8, 1 / 20, low=True),
    Goal("A9", "PSS per warm worker, process / plain", over("process: PSS MB", "plain: PSS MB"), 0.5, 0.3, low=True),
    Goal("A9", "the same, confined", over("confined: PSS MB", "plain: PSS MB"), 0.5, 0.3, low=True),
    Goal("A9", "workers of idle apps", value(f"process: idle workers after {IDLE_S:g} s"), 0, 0.01, low=True),
)

BENCHMARKS = (Benchmark("workers", f"{WORKERS} apps: a worker's start and memory", GOALS, open_starts),)
