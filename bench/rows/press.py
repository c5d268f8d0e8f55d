"""E1 and E2: from a press to its change on the screen of a real Chromium, and what it sends, beside NiceGUI and ReactPy."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from typing import Any

from harness import ours, processes
from harness.rounds import Benchmark, Figures, Goal, Scale, over, wait_for_quiet
from harness.work import PEERS_PYTHON, REACTPY, SERVERS, which


@contextmanager
def open_pages(scale: Scale) -> Iterator[Callable[[], Figures]]:
    with ExitStack() as stack:
        host = stack.enter_context(ours.host(scale.folder, "process", name="press"))
        posts = [host.invoke("PostReport", {"kind": kind}) for kind in ("counter", "grid")]
        pages = {"showground": [f"{host.url}/embed/{post}" for post in posts]}
        for name, python in (("nicegui", PEERS_PYTHON), ("reactpy", REACTPY / "bin" / "python")):
            port, log = processes.free_port(), scale.folder / f"{name}.log"
            command = [str(python), str(SERVERS / f"{name}_app.py"), str(port)]
            child = stack.enter_context(processes.process(command, log, cwd=scale.folder))
            processes.wait_for_port(child, port, log)
            pages[name] = [f"http://127.0.0.1:{port}/{kind}" for kind in ("counter", "grid")]
        log = scale.folder / "press.log"
        command = [str(PEERS_PYTHON), str(SERVERS / "press.py"), which("chromium")]
        browser = stack.enter_context(processes.process(command, log, stdout=subprocess.PIPE))

        def one_round() -> Figures:
            wait_for_quiet()
            assert browser.stdin is not None
            assert browser.stdout is not None
            order = json.dumps({"pages": pages, "presses": scale.presses})
            first = next(iter(pages))
            pages[first] = pages.pop(first)  # another one begins the next round
            browser.stdin.write(order.encode() + b"\n")
            browser.stdin.flush()
            line = browser.stdout.readline()
            if not line:
                raise RuntimeError(f"the browser ended: {log.read_text()[-2000:]}")
            figures: dict[str, float] = {}
            for name, told in json.loads(line).items():
                figures.update(summary(name, told))
            return figures

        yield one_round


def summary(name: str, told: dict[str, Any]) -> dict[str, float]:
    figures: dict[str, float] = {}
    for what, found in told.items():
        if isinstance(found, list):
            figures[f"{name}: {what} p50"] = found[len(found) // 2]
            figures[f"{name}: {what} p99"] = found[min(len(found) - 1, int(len(found) * 0.99))]
        else:
            figures[f"{name}: {what} a press"] = found
    return figures


def times() -> Iterator[Goal]:
    for peer in ("nicegui", "reactpy"):
        for kind in ("counter", "grid"):
            for part in ("p50", "p99"):
                figure = f"{kind} laid out ms {part}"
                what = f"{kind}: press to laid out, {part} / {peer}"
                yield Goal("E1", what, over(f"showground: {figure}", f"{peer}: {figure}"), 1, 0.6, low=True)
            figure = f"{kind} painted ms p50"
            what = f"{kind}: press to painted frame, p50 / {peer}"
            yield Goal("E1", what, over(f"showground: {figure}", f"{peer}: {figure}"), 1, 0.6, low=True)


GOALS = (
    *times(),
    Goal(
        "E2",
        "bytes a pixel press / reactpy",
        over("showground: grid bytes a press", "reactpy: grid bytes a press"),
        0.3,
        0.1,
        True,
    ),
)

BENCHMARKS = (Benchmark("press", "a press and its paint, in Chromium", GOALS, open_pages),)
