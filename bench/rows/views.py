"""E3 to E6: one channel message to many views of a live post, what each view costs, and what a change costs."""

from __future__ import annotations

import http.client
import json
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from statistics import median
from typing import Any
from urllib.parse import urlsplit

from harness import ours, processes
from harness.rounds import Benchmark, Figures, Goal, Scale, over, value, wait_for_quiet
from harness.work import SERVERS

from showground.ui.diff import Tree, diff

CHANNEL = f"/api/v1/communities/{ours.COMMUNITY}/apps/{ours.APP}/channels/news"
SETTINGS = {"realtime": {"messages_per_s": 100_000}}
MESSAGES = 15


class Crowd:
    """`servers/viewers.py` at work on one post or channel."""

    def __init__(self, child: subprocess.Popen[bytes], log: Any) -> None:
        self._child = child
        self._log = log
        self.read("ready")

    def read(self, wanted: str = "") -> bytes:
        assert self._child.stdout is not None
        line = self._child.stdout.readline()
        if not line or (wanted and line.decode().strip() != wanted):
            raise RuntimeError(f"the viewers ended: {line!r} {self._log.read_text()[-1000:]}")
        return line

    def wait_for(self, mark: str, act: Callable[[], None], within_s: float = 30.0) -> tuple[float, dict[str, Any]]:
        """Do *act*; seconds until the last connection has a message with *mark*, and what came."""
        assert self._child.stdin is not None
        self._child.stdin.write(json.dumps({"mark": mark, "within_s": within_s}).encode() + b"\n")
        self._child.stdin.flush()
        self.read("listening")
        began = time.time()
        act()
        told: dict[str, Any] = json.loads(self.read())
        return told["at"] - began, told


@contextmanager
def crowd(
    host: ours.Host, scale: Scale, connections: int, path: str, hello: Mapping[str, Any] | None
) -> Iterator[Crowd]:
    log = scale.folder / "viewers.log"
    command = [sys.executable, str(SERVERS / "viewers.py"), str(urlsplit(host.url).port), str(connections), path]
    with processes.process([*command, json.dumps(hello) if hello else ""], log, stdout=subprocess.PIPE) as child:
        yield Crowd(child, log)


class Publisher:
    """POSTs to the channel over one connection that is kept."""

    def __init__(self, host: ours.Host) -> None:
        self._http = http.client.HTTPConnection(urlsplit(host.url).netloc, timeout=60)
        self._headers = host.headers
        self.n = 0

    def publish(self) -> None:
        self._http.request("POST", CHANNEL, json.dumps({"n": self.n}), self._headers)
        answer = self._http.getresponse()
        if answer.status != 200:
            raise RuntimeError(f"publish: {answer.status} {answer.read()!r}")
        answer.read()


def used(host: ours.Host) -> dict[str, float]:
    return {what: processes.cpu_s(pids) for what, pids in host.tree().items()}


def pss_kb(host: ours.Host) -> int:
    """Host, workers and Redis together."""
    tree = host.tree()
    return sum(processes.pss_kb(pid) for what in ("host", "workers", "redis") for pid in tree[what])


@contextmanager
def open_views(scale: Scale) -> Iterator[Callable[[], Figures]]:
    rounds = iter(range(1_000_000))

    def one_round() -> Figures:
        # a fresh host each time: what a view costs shows only in memory that no earlier view has used and left
        with ours.host(scale.folder, "process", SETTINGS, name=f"views-{next(rounds)}") as host:
            return Measured(host, scale).run()

    yield one_round


class Measured:
    """One round on one host."""

    def __init__(self, host: ours.Host, scale: Scale) -> None:
        self._host = host
        self._scale = scale
        self._publisher = Publisher(host)
        self._figures: dict[str, float] = {}

    def run(self) -> Figures:
        self.views("own", MANY)
        for n in (FEW, MANY):
            self.views("shared", n)
            self.raw(n)
        return self._figures

    def views(self, kind: str, n: int) -> None:
        host, figures = self._host, self._figures
        post = host.invoke("PostReport", {"kind": kind})
        host.invoke("CommentUpdate", {"reset": True})
        wait_for_quiet()
        before_kb = pss_kb(host)
        name = f"{n} views, {kind} state"
        with crowd(
            host, self._scale, n, f"/live/{post}/socket", {"type": "hello", "post": post, "env": {}}
        ) as watching:
            self.subscribed(watching, '"news {}"', n)
            host.invoke("CommentUpdate", {"reset": True})
            before = used(host)
            seconds, size = self.messages(watching, '"news {}"', n)
            after = used(host)
            sent = n * MESSAGES
            figures[f"{name}: delivered/s"] = sent / seconds
            figures[f"{name}: bytes each"] = size / n
            figures[f"{name}: updates per worker core s"] = sent / max(0.01, after["workers"] - before["workers"])
            figures[f"{name}: host CPU us each"] = (after["host"] - before["host"]) / sent * 1e6
            if kind == "shared":
                figures[f"{name}: renders a message"] = (
                    host.invoke("CommentUpdate", {"reset": True})["renders"] / MESSAGES
                )
            else:
                figures[f"{name}: kB each"] = (pss_kb(host) - before_kb) / n

    def raw(self, n: int) -> None:
        wait_for_quiet()
        with crowd(self._host, self._scale, n, f"{CHANNEL}?access_token={self._host.token}", None) as watching:
            self.subscribed(watching, '"n":{}', n)
            seconds, _ = self.messages(watching, '"n":{}', n)
            self._figures[f"{n} raw subscribers: delivered/s"] = n * MESSAGES / seconds

    def subscribed(self, watching: Crowd, mark: str, n: int) -> None:
        """Publish until all of them hear it: who is still subscribing hears nothing of what was sent before."""
        publisher = self._publisher
        for _ in range(30):
            publisher.n += 1
            if watching.wait_for(mark.format(publisher.n), publisher.publish, 1.0)[1]["seen"] == n:
                return
        raise RuntimeError(f"{n} subscribers do not all hear")

    def messages(self, watching: Crowd, mark: str, n: int) -> tuple[float, int]:
        """Seconds for messages to all, one after the other, and bytes of the last one."""
        publisher, total, size = self._publisher, 0.0, 0
        for _ in range(MESSAGES):
            publisher.n += 1
            seconds, told = watching.wait_for(mark.format(publisher.n), publisher.publish)
            if told["seen"] != n:
                raise RuntimeError(f"{told['seen']} of {n} have the message")
            total, size = total + seconds, told["bytes"]
        return total, size


# --- what one change costs ---


def tree(changed: int = -1) -> Tree:
    """200 nodes: 20 rows of a stack, 8 texts each, and what is around them."""
    return ["blocks", {}, [["vstack", {}, [row(y, changed) for y in range(20)]]]]


def row(y: int, changed: int) -> Tree:
    texts = [
        ["text", {"text": f"cell {y} {x}{'!' if y * 8 + x == changed else ''}", "size": "small"}] for x in range(8)
    ]
    return ["hstack", {"k": y, "gap": "small"}, texts]


def best_us(work: Callable[[], object]) -> float:
    took = []
    for _ in range(7):
        began = time.perf_counter()
        for _ in range(200):
            work()
        took.append((time.perf_counter() - began) / 200 * 1e6)
    return median(took)


@contextmanager
def open_changes(scale: Scale) -> Iterator[Callable[[], Figures]]:
    old = tree()
    rows = list(old[2][0][2])

    def reused() -> object:
        """The one row that changed is made anew, as a memoised component's would be; the others are the same objects."""
        return diff(old, ["blocks", {}, [["vstack", {}, [row(10, 84) if y == 10 else rows[y] for y in range(20)]]]])

    def one_round() -> Figures:
        return {"whole us": best_us(lambda: diff(old, tree(84))), "reused us": best_us(reused)}

    yield one_round


FEW, MANY = 100, 500
SHARED, OWN = f"{MANY} views, shared state", f"{MANY} views, own state"

GOALS = (
    Goal("E3", f"renders for a message to {SHARED}", value(f"{SHARED}: renders a message"), 1, 1, low=True),
    *(
        Goal(
            "E3",
            f"{n} views in one state: delivered/s / raw fan-out",
            over(f"{n} views, shared state: delivered/s", f"{n} raw subscribers: delivered/s"),
            0.25,
            0.5,
        )
        for n in (FEW, MANY)
    ),
    Goal("E4", f"{OWN}: updates per worker core s", value(f"{OWN}: updates per worker core s"), 1500, 3000),
    Goal("E5", f"{OWN}: kB each, host + worker + Redis", value(f"{OWN}: kB each"), 100, 60, low=True),
)

BENCHMARKS = (
    Benchmark("views", "one channel message to many views of a post", GOALS, open_views),
    Benchmark(
        "diff",
        "one change among 200 nodes: make the tree and compare",
        (Goal("E6", "unchanged subtrees reused / whole", over("reused us", "whole us"), 0.4, 0.2, low=True),),
        open_changes,
    ),
)
