"""A1 to A7: an invocation over HTTP whose caller waits for the reply, in an isolated worker, beside others."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

from harness import ours, processes
from harness.load import BODY, post_script, wrk
from harness.rounds import Benchmark, Figures, Goal, Scale, over, wait_for_quiet
from harness.work import NODE_MODULES, PEERS, PEERS_PYTHON, SERVERS, SHIPPED

MANY, ONE = 64, 1
FAST_ASGI = "functions-framework --asgi, uvloop and httptools"
JSON = {"Content-Type": "application/json"}


@dataclass(frozen=True)
class Target:
    """One thing under load."""

    name: str
    url: str
    headers: Mapping[str, str]
    pid: int


def peers() -> dict[str, Callable[[int], Sequence[str]]]:
    workerd = str(NODE_MODULES / ".bin" / "workerd")

    def functions(folder: Path, target: str, *more: str) -> Callable[[int], Sequence[str]]:
        command = [str(folder / "bin" / "functions-framework"), "--source", str(SERVERS / "functions.py")]
        return lambda port: [*command, "--target", target, *more, "--port", str(port)]

    return {
        "bare": lambda port: [str(PEERS_PYTHON), str(SERVERS / "bare.py"), str(port)],
        "functions-framework": functions(SHIPPED, "handle"),
        "functions-framework --asgi": functions(SHIPPED, "handle_async", "--asgi"),
        FAST_ASGI: functions(PEERS, "handle_async", "--asgi"),
        "workerd": lambda port: [
            workerd,
            "serve",
            str(SERVERS / "workerd.capnp"),
            f"--socket-addr=http=127.0.0.1:{port}",
        ],
        "fastapi": lambda port: [
            *(str(PEERS / "bin" / "uvicorn"), "fastapi_app:app", "--app-dir", str(SERVERS)),
            *("--log-level", "warning", "--port", str(port)),
        ],
    }


@contextmanager
def targets(scale: Scale) -> Iterator[list[Target]]:
    with ExitStack() as stack:
        found: list[Target] = []
        for kind, level, shortcut in (
            ("process", "process", True),
            ("confined", "confined", True),
            ("aiohttp", "process", False),
        ):
            host = stack.enter_context(ours.host(scale.folder, level, {"host": {"shortcut": shortcut}}, kind))
            for name, event in ((kind, "PostCreate"), (f"{kind} + 2 calls", "PostUpdate")):
                found.append(Target(name, host.url + host.path(event), host.headers, host.process.pid))
        for name, command in peers().items():
            port, log = processes.free_port(), scale.folder / f"{name}.log"
            child = stack.enter_context(processes.process(command(port), log, {"HOST": "127.0.0.1"}, cwd=scale.folder))
            processes.wait_for_port(child, port, log)
            found.append(Target(name, f"http://127.0.0.1:{port}/", JSON, child.pid))
        yield found


@contextmanager
def open_all(scale: Scale) -> Iterator[Callable[[], Figures]]:
    with targets(scale) as every:

        def load(target: Target, connections: int, seconds: float) -> None:
            script = post_script(BODY, dict(target.headers))
            pids = processes.descendants(target.pid)
            before = processes.cpu_s(pids)
            got = wrk(target.url, script, scale.folder, connections, seconds)
            used = processes.cpu_s(pids) - before
            suffix = "" if connections == MANY else " c=1"
            figures[f"{target.name}{suffix} req/s"] = got.per_s
            figures[f"{target.name}{suffix} p50 ms"] = got.p50_ms
            figures[f"{target.name}{suffix} p99 ms"] = got.p99_ms
            figures[f"{target.name}{suffix} CPU us"] = used / got.requests * 1e6

        figures: dict[str, float] = {}
        for target in every:
            load(target, MANY, 1)

        def one_round() -> Figures:
            figures.clear()
            for target in every:
                wait_for_quiet()
                load(target, MANY, scale.seconds)
            for target in (t for t in every if t.name in ("process", "aiohttp", "bare")):
                wait_for_quiet()
                load(target, ONE, 1)
            return figures

        yield one_round


GOALS = (
    Goal("A1", "isolated, through aiohttp / bare aiohttp, c=64", over("aiohttp req/s", "bare req/s"), 0.6, 0.8),
    Goal("A1", "bare's CPU / ours, whole tree", over("bare CPU us", "aiohttp CPU us"), 0.6, 0.8),
    Goal("A2", "isolated, as shipped / bare aiohttp, c=64", over("process req/s", "bare req/s"), 1.0, 1.8),
    Goal("A2", "the same, confined", over("confined req/s", "bare req/s"), 1.0, 1.8),
    Goal("A3", "/ functions-framework as shipped", over("process req/s", "functions-framework req/s"), 6, 18),
    Goal("A4", "/ functions-framework --asgi", over("process req/s", "functions-framework --asgi req/s"), 2, 6),
    Goal("", "/ the same beside uvloop and httptools", over("process req/s", f"{FAST_ASGI} req/s"), 0, 0),
    Goal("A5", "/ workerd", over("process req/s", "workerd req/s"), 1, 3),
    Goal("", "/ FastAPI on uvicorn", over("process req/s", "fastapi req/s"), 0, 0),
    Goal("A6", "p50 at c=1 / bare aiohttp", over("process c=1 p50 ms", "bare c=1 p50 ms"), 2.5, 1.25, low=True),
    Goal("A6", "the same, through aiohttp", over("aiohttp c=1 p50 ms", "bare c=1 p50 ms"), 2.5, 1.25, low=True),
    Goal("A7", "with 2 capability calls / without", over("process + 2 calls req/s", "process req/s"), 0.5, 0.7),
    Goal("A7", "the same, confined", over("confined + 2 calls req/s", "confined req/s"), 0.5, 0.7),
    Goal("A7", "the same, through aiohttp", over("aiohttp + 2 calls req/s", "aiohttp req/s"), 0.5, 0.7),
)

BENCHMARKS = (Benchmark("invoke", "an invocation over HTTP, in an isolated worker", GOALS, open_all),)
