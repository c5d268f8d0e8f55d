"""Runs our channel fan-out beside its peers, in interleaved rounds, and prints medians and ratios. See README.md."""

from __future__ import annotations

import argparse
import json
import os
import platform
import resource
import subprocess
import sys
import tempfile
import time
from collections import defaultdict
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from typing import Any

HERE = Path(__file__).parent
WORK = HERE.parent / ".work"
RESULTS = HERE.parent / "results"
PEERS_PYTHON = WORK / "peers" / "bin" / "python"
PYTHON_PEERS = ("python-socketio==5.18.1", "aiohttp==3.14.5", "uvloop==0.23.0", "websockets==17.4")
NODE_PEERS = ("ws@8.23.0", "socket.io@4.8.4")
OURS = "/api/v1/communities/playground/apps/server-push/channels/events"
SOCKETIO = "/socket.io/?EIO=4&transport=websocket"


@dataclass(frozen=True)
class Server:
    name: str
    command: tuple[str, ...]
    path: str = "/"
    kind: str = "plain"
    tests: tuple[str, ...] = ("max", "burst", "steady")


SERVERS = (
    Server("showground", (sys.executable, "servers/ours.py"), OURS),
    Server("socket.io", ("node", "servers/socketio.js"), SOCKETIO, "socketio"),
    Server("ws", ("node", "servers/ws.js")),
    Server("python-socketio", (str(PEERS_PYTHON), "servers/socketio_server.py"), SOCKETIO, "socketio", ("max",)),
    Server("websockets", (str(PEERS_PYTHON), "servers/websockets_server.py")),
    Server("showground+redis", (sys.executable, "servers/ours.py", "redis"), OURS),
)
TESTS = {
    "max": {"rate": 0, "burst": 1},
    "burst": {"rate": 0, "burst": 8},
    "steady": {"rate": 100, "burst": 1},
}


def set_up() -> None:
    """Install the peers into bench/.work, which git ignores."""
    WORK.mkdir(exist_ok=True)
    if not PEERS_PYTHON.exists():
        subprocess.run([sys.executable, "-m", "venv", str(WORK / "peers")], check=True)
    subprocess.run([str(PEERS_PYTHON), "-m", "pip", "install", "-q", *PYTHON_PEERS], check=True)
    subprocess.run(["npm", "install", "--no-save", "--prefix", str(WORK), *NODE_PEERS], check=True)


class Child:
    """A process that answers lines with lines."""

    def __init__(self, command: tuple[str, ...]) -> None:
        self._process = subprocess.Popen(
            command,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            cwd=HERE,
            env={**os.environ, "NODE_PATH": str(WORK / "node_modules")},
        )

    def read(self) -> str:
        assert self._process.stdout is not None
        line = self._process.stdout.readline()
        if not line:
            raise RuntimeError(f"{self._process.args!r} ended")
        return line.strip()

    def ask(self, order: dict[str, Any]) -> dict[str, Any]:
        assert self._process.stdin is not None
        self._process.stdin.write(json.dumps(order) + "\n")
        self._process.stdin.flush()
        answer: dict[str, Any] = json.loads(self.read())
        return answer

    def rss_kb(self) -> int:
        for line in Path(f"/proc/{self._process.pid}/status").read_text().splitlines():
            if line.startswith("VmRSS:"):
                return int(line.split()[1])
        raise RuntimeError("no VmRSS")

    def close(self) -> None:
        assert self._process.stdin is not None
        self._process.stdin.close()
        try:
            self._process.wait(5)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()


@contextmanager
def child(*command: str) -> Iterator[Child]:
    process = Child(command)
    try:
        yield process
    finally:
        process.close()


def busy_s() -> float:
    """CPU seconds that the whole machine has used."""
    fields = [int(n) for n in Path("/proc/stat").read_text().splitlines()[0].split()[1:]]
    return (sum(fields) - fields[3] - fields[4]) / os.sysconf("SC_CLK_TCK")


def ours_s() -> float:
    """CPU seconds of children that have ended."""
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


def wait_for_quiet(longest_s: float) -> None:
    """Wait until others use less than a quarter of a core, but not for ever."""
    deadline = time.monotonic() + longest_s
    while time.monotonic() < deadline:
        before = busy_s()
        time.sleep(0.5)
        if (busy_s() - before) / 0.5 < 0.25:
            return


def measure(server: Server, connections: int, secs: float, sizes: tuple[int, ...]) -> dict[str, Any]:
    """One slice: a fresh server and a fresh swarm, then every test."""
    found: dict[str, Any] = {}
    began, busy, own = time.monotonic(), busy_s(), ours_s()
    with tempfile.NamedTemporaryFile(dir="/dev/shm") as counter:
        counter.write(bytes(8))
        counter.flush()
        with child(*server.command) as process:
            port = process.read()
            before_kb = process.rss_kb()
            with child(
                sys.executable, "swarm.py", port, str(connections), server.path, server.kind, counter.name
            ) as swarm:
                swarm.read()
                found["kb_per_connection"] = (process.rss_kb() - before_kb) / connections
                for name in server.tests:
                    for size in sizes:
                        order = {**TESTS[name], "secs": secs, "size": size}
                        answer = process.ask({**order, "subscribers": connections, "received": counter.name})
                        got = swarm.ask({})
                        wanted = answer["published"] * connections
                        if got["received"] != wanted or got["lost"]:
                            raise RuntimeError(f"{server.name} {name}: {got['received']} of {wanted} arrived")
                        found[f"{name} {size} B"] = {
                            "per_s": wanted / answer["settled_s"],
                            "cpu_us": answer["cpu_s"] / wanted * 1e6,
                            "p50_ms": got["p50_ms"],
                            "p99_ms": got["p99_ms"],
                        }
    elapsed = time.monotonic() - began
    found["foreign_cores"] = max(0.0, (busy_s() - busy - (ours_s() - own)) / elapsed)
    return found


Slices = dict[tuple[str, int], list[dict[str, Any]]]


def middle(slices: Slices, server: str, connections: int, test: str, value: str) -> float | None:
    found = [s[test][value] for s in slices[server, connections] if test in s]
    return median(found) if found else None


@dataclass(frozen=True)
class Row:
    """One row of the table: ours over theirs, by deliveries a second and by deliveries per second of CPU time.

    The first moves with whatever else the machine does; the second hardly, so read both.
    """

    name: str
    what: str
    measured: float | None
    by_cpu: float | None
    goal: str


def ratios(slices: Slices, connections: tuple[int, ...]) -> Iterator[Row]:
    def divide(n: int, test: str, other: str, value: str = "per_s", ours: str = "showground") -> float | None:
        one, two = (middle(slices, s, n, test, value) for s in (ours, other))
        return one / two if one and two else None

    def row(name: str, n: int, test: str, other: str, goal: str, ours: str = "showground") -> Row:
        cpu = divide(n, test, other, "cpu_us", ours)
        return Row(name, f"{test} / {other}, N={n}", divide(n, test, other, ours=ours), 1 / cpu if cpu else None, goal)

    yield row("B1", 500, "max 100 B", "socket.io", ">= 1.5, target 2.2")
    if 2000 in connections:
        yield row("B2", 2000, "max 100 B", "socket.io", ">= 1.2, target 1.5")
    for n in connections:
        yield row("B3", n, "burst 100 B", "socket.io", ">= 4, target 10")
    yield row("B4", 500, "max 100 B", "python-socketio", ">= 4, target 7")
    cpu = divide(500, "steady 100 B", "socket.io", "cpu_us")
    yield Row("B5", "CPU per delivery / socket.io, 50,000/s", cpu, None, "<= 0.8, target 0.5")
    last = connections[-1]
    ours, theirs = (median(s["kb_per_connection"] for s in slices[name, last]) for name in ("showground", "socket.io"))
    yield Row("B6", f"memory per connection / socket.io, N={last}", ours / theirs, None, "<= 1.0, target 0.6")
    for other in ("ws", "websockets"):
        yield row("", 500, "max 100 B", other, "")
    yield row("", 500, "max 100 B", "socket.io", "publish() on Redis, end to end", "showground+redis")
    yield row("", 500, "burst 100 B", "socket.io", "publish() on Redis, end to end", "showground+redis")


def report(slices: Slices, connections: tuple[int, ...], rounds: int) -> None:
    print(
        f"\n{platform.machine()}, {os.cpu_count()} cores, Linux {platform.release()}, Python {platform.python_version()}"
    )
    foreign = sorted(s["foreign_cores"] for group in slices.values() for s in group)
    print(f"{rounds} rounds; CPU used by others: median {median(foreign):.2f} cores, worst {foreign[-1]:.2f}\n")
    for (name, n), group in sorted(slices.items(), key=lambda item: item[0][1]):
        for test in (t for t in group[0] if t[-1] == "B"):
            rates = [s[test]["per_s"] for s in group]
            cpu_us, p50_ms, p99_ms = (median([s[test][k] or 0 for s in group]) for k in ("cpu_us", "p50_ms", "p99_ms"))
            print(
                f"N={n:<5} {name:17} {test:13} {median(rates):>11,.0f}/s ({min(rates):,.0f} to {max(rates):,.0f})  "
                f"{cpu_us:6.2f} us  p50 {p50_ms:8.2f} ms  p99 {p99_ms:8.2f} ms"
            )
        print(
            f"N={n:<5} {name:17} memory        {median([s['kb_per_connection'] for s in group]):>11.1f} kB a connection"
        )
    print()
    print(f"{'':3} {'':42} {'measured':>12} {'by CPU':>8}")
    for row in ratios(slices, connections):
        measured, by_cpu = ("-" if v is None else f"{v:.2f}" for v in (row.measured, row.by_cpu))
        print(f"{row.name:3} {row.what:42} {measured:>12} {by_cpu:>8}   {row.goal}")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--quick", action="store_true", help="one round of one-second slices with 500 connections")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--secs", type=float, default=2.0, help="length of one slice")
    parser.add_argument("--quiet-s", type=float, default=5.0, help="seconds to wait for a quiet machine before a slice")
    parser.add_argument("--set-up", action="store_true", help="install the peers first")
    parser.add_argument("--only", default="", help="comma-separated names of servers")
    options = parser.parse_args()
    hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    if options.set_up:
        set_up()
    connections = (500,) if options.quick else (500, 2000)
    rounds, secs = (1, 1.0) if options.quick else (options.rounds, options.secs)
    wanted = [s for s in SERVERS if not options.only or s.name in options.only.split(",")]
    slices: Slices = defaultdict(list)
    for number in range(rounds):
        for n in connections:
            for server in wanted:
                wait_for_quiet(options.quiet_s)
                slices[server.name, n].append(measure(server, n, secs, (100,)))
                print(f"round {number + 1} of {rounds}, N={n}: {server.name}", file=sys.stderr, flush=True)
    if options.only:
        print(json.dumps({f"{name} N={n}": group for (name, n), group in slices.items()}, indent=1))
        return
    RESULTS.mkdir(exist_ok=True)
    (RESULTS / "realtime.json").write_text(
        json.dumps({f"{name} N={n}": group for (name, n), group in slices.items()}, indent=1)
    )
    report(slices, connections, rounds)


if __name__ == "__main__":
    main()
