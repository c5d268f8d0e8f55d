"""A10: durable events. 202 only after the delivery is in Redis (append-only file, fsync each second)."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from harness import ours, processes
from harness.load import BODY, post_script, wrk
from harness.rounds import Benchmark, Figures, Goal, Scale, over, value, wait_for_quiet
from harness.work import PEERS_PYTHON, SERVERS

BATCH = 100
COMMENT = '{"comment":{"id":"t1_1","body":"A comment of a few ordinary words.","author":"t2_9"},"post":{"id":"t3_1"}}'
DRAIN_S = 60.0

# every request carries ids of its own: an id that was seen is answered without a second delivery
_SCRIPT = """
math.randomseed({seed})
local run, n = math.random(1e9), 0
local event = [==[{{"specversion":"1.0","id":"%d-%d","source":"/bench","type":"CommentCreate",]==] ..
  [==["subject":"bench","data":{data}}}]==]
wrk.method = "POST"
{headers}
request = function()
  local events = {{}}
  for k = 1, {batch} do
    n = n + 1
    events[k] = string.format(event, run, n)
  end
  return wrk.format(nil, nil, nil, {body})
end
"""


def script(batch: int, token: str, seed: int) -> str:
    kind = "application/cloudevents+json" if batch == 1 else "application/cloudevents-batch+json"
    headers = {"Authorization": f"Bearer {token}", "Content-Type": kind}
    return _SCRIPT.format(
        seed=seed,
        data=COMMENT,
        batch=batch,
        headers="\n".join(f'wrk.headers["{name}"] = "{text}"' for name, text in headers.items()),
        body="events[1]" if batch == 1 else '"[" .. table.concat(events, ",") .. "]"',
    )


def drained(host: ours.Host, answered: int) -> float:
    """wrk leaves requests that were sent and not answered, so a few more events than it counts may have come in."""
    deadline = time.monotonic() + DRAIN_S
    before, still = -1, 0
    while still < 3:
        told = host.invoke("CommentUpdate", {"reset": False})
        still = still + 1 if told["events"] == before and before >= answered else 0
        before = told["events"]
        if time.monotonic() > deadline:
            raise RuntimeError(f"{told['events']} of {answered} events were handled within {DRAIN_S:g} s")
        time.sleep(0.1)
    host.invoke("CommentUpdate", {"reset": True})
    return float((told["last"] - told["first"]) * answered / told["events"])


@contextmanager
def open_events(scale: Scale) -> Iterator[Callable[[], Figures]]:
    sections = {"deliveries": {"backlog": 10**9, "concurrency": 256}}
    port, log = processes.free_port(), scale.folder / "bare.log"
    with (
        ours.host(scale.folder, "process", sections, name="events") as host,
        processes.process([str(PEERS_PYTHON), str(SERVERS / "bare.py"), str(port)], log) as bare,
    ):
        processes.wait_for_port(bare, port, log)
        seeds = iter(range(1, 10**6))
        host.invoke("CommentUpdate", {"reset": True})

        def one_round() -> Figures:
            figures: dict[str, float] = {}
            wait_for_quiet()
            load = wrk(
                f"http://127.0.0.1:{port}/",
                post_script(BODY, {"Content-Type": "application/json"}),
                scale.folder,
                64,
                scale.seconds,
            )
            figures["bare req/s"] = load.per_s
            for batch, connections in ((1, 64), (BATCH, 8)):
                wait_for_quiet()
                tree = {what: pids for what, pids in host.tree().items() if what != "zygote"}
                before = {what: processes.cpu_s(pids) for what, pids in tree.items()}
                load = wrk(
                    f"{host.url}/api/v1/events",
                    script(batch, host.token, next(seeds)),
                    scale.folder,
                    connections,
                    scale.seconds,
                )
                name = "single" if batch == 1 else f"batches of {batch}"
                figures[f"{name}: events accepted/s"] = load.per_s * batch
                figures[f"{name}: p99 ms"] = load.p99_ms
                sent = load.requests * batch
                figures[f"{name}: events handled/s"] = sent / drained(host, sent)
                for what, pids in tree.items():
                    figures[f"{name}: {what} CPU us an event"] = (processes.cpu_s(pids) - before[what]) / sent * 1e6
            return figures

        yield one_round


def per_cpu(figures: Figures) -> float:
    """What one host process can do when it has a core to itself, whatever else the machine does."""
    return 1e6 / figures[f"batches of {BATCH}: host CPU us an event"]


GOALS = (
    Goal("A10", "single events, 202 / bare aiohttp, c=64", over("single: events accepted/s", "bare req/s"), 0.4, 0.6),
    Goal("A10", "batches of 100: events accepted/s", value(f"batches of {BATCH}: events accepted/s"), 15_000, 30_000),
    Goal("A10", "batches of 100: events accepted and handled per second of host CPU", per_cpu, 15_000, 30_000),
    Goal("A10", "batches of 100: events handled/s", value(f"batches of {BATCH}: events handled/s"), 15_000, 30_000),
)

BENCHMARKS = (Benchmark("events", "durable events, taken in and handled in a worker", GOALS, open_events),)
