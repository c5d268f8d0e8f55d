"""One installation is flooded, its neighbour is measured: in the same community of hosts, even in the same worker."""

from __future__ import annotations

import asyncio
import json
import random
from contextlib import AsyncExitStack
from pathlib import Path
from statistics import median
from typing import Any

import aiohttp

from chaos.cluster import Cluster, MissingRetryAfter
from chaos.jobs import invoke
from chaos.judge import Judge, Rule
from chaos.load import FAILURES, Promises
from chaos.report import Report
from showground.testing.viewer import NotSeen, Viewer

NOISY, QUIET = "noisy", "quiet"
BACKLOG = 500
FLOODERS, BATCH = 4, 50
PRESSERS, BURST = 10, 40
WORST_S = 2.0
"""What the neighbour's median may be while the flood goes on, on two cores that it shares with those who make it."""
HEADERS = {"Content-Type": "application/cloudevents-batch+json"}


class Overload:
    def __init__(self, cluster: Cluster) -> None:
        self._cluster = cluster
        self._stop = asyncio.Event()
        self.accepted: set[str] = set()
        self.refused: dict[int, int] = {}
        self.presses = 0
        self.unheralded: list[str] = []
        self.most_outstanding = 0

    async def flood(self, number: int) -> None:
        """Batches of events as fast as they are taken; a refused batch is sent again at once, unlike a good client's."""
        batch = 0
        while not self._stop.is_set():
            batch += 1
            names = [f"{number}x{batch}x{i}" for i in range(BATCH)]
            body = json.dumps([_event(name, NOISY) for name in names])
            try:
                status, _ = await self._cluster.request("POST", "/api/v1/events", data=body, headers=HEADERS)
            except MissingRetryAfter as error:
                self.unheralded.append(str(error))
                continue
            except FAILURES:
                continue
            if status == 202:
                self.accepted.update(names)
            else:
                self.refused[status] = self.refused.get(status, 0) + 1

    async def press(self, viewer: Viewer) -> None:
        """Bursts of presses without waiting for their acknowledgements."""
        while not self._stop.is_set():
            for _ in range(BURST):
                await viewer.press("Add own", wait=False)
                self.presses += 1
            await settled(viewer)

    async def watch(self, judge: Judge) -> None:
        while not self._stop.is_set():
            self.most_outstanding = max(self.most_outstanding, await asyncio.to_thread(judge.outstanding))
            await asyncio.sleep(0.1)

    async def neighbour(self, viewer: Viewer, seconds: float, rule: Rule, tag: str) -> dict[str, list[float]]:
        """Latencies of a neighbour who acts as people do: one event, one press, and again."""
        loop = asyncio.get_running_loop()
        found: dict[str, list[float]] = {"event": [], "press": []}
        ends = loop.time() + seconds
        while loop.time() < ends:
            name = f"{tag}{len(found['event'])}"
            started = loop.time()
            headers = {"Content-Type": "application/cloudevents+json"}
            try:
                status, body = await self._cluster.request(
                    "POST", "/api/v1/events?wait=5", data=json.dumps(_event(name, QUIET)), headers=headers
                )
                rule.expect(status == 200, f"the neighbour's event was answered {status}: {str(body)[:200]}")
            except (*FAILURES, MissingRetryAfter) as error:
                rule.expect(False, f"the neighbour's event failed: {error!r}")
            found["event"].append(loop.time() - started)
            started = loop.time()
            try:
                await viewer.press("Add own")
                rule.expect(True, "")
            except NotSeen as error:
                rule.expect(False, f"the neighbour's press was not acknowledged: {error}")
            found["press"].append(loop.time() - started)
            await asyncio.sleep(0.02)
        return found

    def stop(self) -> None:
        self._stop.set()


async def run_overload(folder: Path, *, seed: int, seconds: float) -> Report:
    report = Report(f"./run chaos --scenario overload --seed {seed} --seconds {seconds:g}")
    promises = Promises()
    async with AsyncExitStack() as exits:
        cluster = await exits.enter_async_context(Cluster(folder, 1, random.Random(seed), backlog=BACKLOG))
        judge = Judge(cluster, promises)
        exits.callback(judge.close)
        await cluster.upload("1.0.0")
        posts = {}
        for community in (NOISY, QUIET):
            await cluster.install(community, "1.0.0")
            posts[community] = await invoke(cluster, community, "chaos.open", {})
        url = cluster.hosts[0].url
        neighbour = await exits.enter_async_context(Viewer(url, posts[QUIET]))
        noisy = [await exits.enter_async_context(Viewer(url, posts[NOISY])) for _ in range(PRESSERS)]

        served = Rule("the neighbour is served while the flood goes on")
        overload = Overload(cluster)
        await overload.neighbour(neighbour, 1.0, Rule("warm-up"), "w")
        before = await overload.neighbour(neighbour, seconds / 3, served, "b")
        flood = [asyncio.create_task(overload.flood(n), name="flood") for n in range(FLOODERS)]
        flood += [asyncio.create_task(overload.press(viewer), name="presses") for viewer in noisy]
        flood.append(asyncio.create_task(overload.watch(judge), name="watch"))
        during = await overload.neighbour(neighbour, seconds * 2 / 3, served, "d")
        overload.stop()
        await asyncio.wait(flood, timeout=60)
        for task in flood:
            task.cancel()
        for ended in await asyncio.gather(*flood, return_exceptions=True):
            served.expect(ended is None, f"a source of the flood failed: {ended!r}")
        for kind in before:
            was, now = median(before[kind]), median(during[kind])
            served.notes |= {f"{kind} before, µs": int(was * 1e6), f"{kind} during, µs": int(now * 1e6)}
            report.seen = {**report.seen, f"{kind}, ratio": round(now / was, 1)}
            served.expect(now < WORST_S, f"the neighbour's {kind} took {now:.2f} s at the median")

        bounded = Rule("queues are bounded: beyond them the answer is 429 or 503, and says when to come back")
        bounded.expect(overload.refused, "nothing was ever refused, so no bound was reached")
        bounded.expect(set(overload.refused) <= {429, 503}, f"refused with {overload.refused}")
        bounded.expect(not overload.unheralded, "; ".join(overload.unheralded[:3]))
        bounded.expect(
            overload.most_outstanding <= BACKLOG + 50, f"{overload.most_outstanding} deliveries were outstanding"
        )
        bounded.notes = {f"answers {s}": n for s, n in overload.refused.items()} | {"most": overload.most_outstanding}
        for _ in range(300):
            if not judge.outstanding():
                break
            await asyncio.sleep(0.1)

        kept = Rule("nothing that was accepted under the flood is lost")
        handled = judge._hash(NOISY, "events")
        for name in overload.accepted:
            kept.expect(handled.get(f"t3_{name}"), f"event {name} was accepted and not handled")
        total = 0
        for viewer in noisy:
            await settled(viewer)
            own = int(viewer.text.splitlines()[0].split()[1])
            kept.expect(own == viewer._seq, f"a view counts {own} of {viewer._seq} acknowledged presses")
            total += own
        kept.notes = {"events": len(overload.accepted), "presses": total}
        report.rules = [served, bounded, kept, judge.conduct()]
    return report


async def settled(viewer: Viewer) -> None:
    """Until everything is acknowledged; a viewer who was sent away comes back, as its browser would."""
    while viewer._unacknowledged:
        if viewer.farewell is not None:
            await asyncio.sleep(float(viewer.farewell.get("retry_after") or 0.1))
            await viewer.cut()
            viewer.errors.clear()
            try:
                await viewer.connect()
            except (aiohttp.ClientError, OSError, NotSeen):
                continue
        try:
            await viewer.until(lambda: not viewer._unacknowledged or viewer.farewell, "acknowledgements")
        except NotSeen:
            await viewer.cut()
            viewer.farewell = {"retry_after": 0.1}


def _event(name: str, community: str) -> dict[str, Any]:
    return {
        "specversion": "1.0", "id": name, "source": "/overload", "type": "PostCreate", "subject": community,
        "data": {"post": {"id": f"t3_{name}", "title": "well"}},
    }  # fmt: skip
