"""Everybody comes at once: thousands of viewers are sent away by a host that stops, then dropped by one that dies."""

from __future__ import annotations

import asyncio
import random
from collections import Counter
from collections.abc import Callable, Coroutine, Sequence
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any

import aiohttp

from chaos.cluster import Cluster, HostProcess
from chaos.jobs import invoke
from chaos.judge import Judge, Rule
from chaos.load import Promises
from chaos.processes import cpu_s, peak_memory_mb
from chaos.report import Report
from showground.ops.open_files import raise_limit
from showground.testing.viewer import NotSeen, Viewer

BOUND_S = 60.0
"""Within which every viewer must be back, on two cores that also run the viewers."""
AT_ONCE = 100
"""Viewers that arrive together at the beginning, which is not what is tested."""
SPARE_FILES = 200
"""What the driver has open besides its viewers."""


class Person:
    """A viewer that counts what was acknowledged to it."""

    def __init__(self, viewer: Viewer, rng: random.Random) -> None:
        self.viewer = viewer
        self.presses = 0
        self.farewell: dict[str, Any] | None = None
        self._rng = rng

    async def arrive(self) -> None:
        await self._connect()

    async def press(self) -> None:
        self.presses += 1
        await self.viewer.press("Add own", wait=False)

    async def acknowledged(self) -> None:
        viewer = self.viewer
        while viewer._unacknowledged:
            if viewer.farewell is not None:
                await self._connect()
            try:
                await viewer.until(lambda: not viewer._unacknowledged or viewer.farewell, "acknowledgements")
            except NotSeen:
                await self._connect()

    async def sent_away(self) -> None:
        await self.viewer.until(lambda: self.viewer.farewell, "the end of the connection")
        self.farewell = self.viewer.farewell

    async def move(self, url: str, *, patient: bool) -> None:
        """To another host: when the farewell said, or at once."""
        if patient and self.farewell is not None:
            await asyncio.sleep(float(self.farewell.get("retry_after") or 0))
        self.viewer.url = url
        await self._connect()

    async def _connect(self) -> None:
        pause = 0.2
        while True:
            await self.viewer.cut()
            self.viewer.errors.clear()
            try:
                await self.viewer.connect()
            except (aiohttp.ClientError, OSError, NotSeen):
                await asyncio.sleep(self._rng.uniform(pause / 2, pause))
                pause = min(pause * 2, 5.0)
            else:
                if self.viewer.farewell is None:
                    return

    @property
    def own(self) -> int:
        return int(self.viewer.text.splitlines()[0].split()[1])


async def run_storm(folder: Path, *, seed: int, viewers: int) -> Report:
    allowed = raise_limit()
    if allowed < viewers + SPARE_FILES:
        raise RuntimeError(
            f"{viewers} viewers need {viewers + SPARE_FILES} open files; {allowed} are allowed (ulimit -Hn)"
        )
    report = Report(f"./run chaos --scenario storm --seed {seed} --viewers {viewers}")
    rng = random.Random(seed)
    promises = Promises()
    async with AsyncExitStack() as exits:
        cluster = await exits.enter_async_context(Cluster(folder, 2, random.Random(rng.random()), drain_s=30.0))
        first, second = cluster.hosts
        await cluster.upload("1.0.0")
        await cluster.install("crowd", "1.0.0")
        post = await invoke(cluster, "crowd", "chaos.open", {})
        people = [Person(Viewer(first.url, post), random.Random(rng.random())) for _ in range(viewers)]
        exits.push_async_callback(_leave, people)
        for start in range(0, viewers, AT_ONCE):
            await _all(people[start : start + AT_ONCE], Person.arrive)
        await _all(people, Person.press)
        await _all(people, Person.acknowledged)

        drained = Rule(
            f"a host that stops sends everybody away in good order, and within {BOUND_S:g} s all are back elsewhere"
        )
        await _all(people[::2], Person.press)  # under way while the host is told to stop
        stopping = asyncio.create_task(first.stop(60.0), name="stop")
        await _all(people, Person.sent_away)
        told = Counter(str((p.farewell or {}).get("reason")) for p in people)
        waits = {(p.farewell or {}).get("retry_after") for p in people}
        drained.notes = {f"told: {reason}": count for reason, count in told.items()} | {"different waits": len(waits)}
        drained.expect(told["the host is stopping"] == viewers, f"farewells were {dict(told)}")
        drained.expect(len(waits) > viewers / 20, f"{len(waits)} different waits: all would come back together")
        await _back(drained, people, second, patient=True)
        drained.expect(await stopping == 0, "the host did not end by itself in time")
        states = Rule("no acknowledged press is lost or counted twice")
        _judge_states(states, people)

        killed = Rule(f"after a host dies, everybody is back within {BOUND_S:g} s, although nobody waits")
        first.start()
        await first.ready(cluster.client)
        await _all(people[::2], Person.press)
        second.kill()
        await _back(killed, people, first, patient=False)
        _judge_states(states, people)
        states.notes = {"viewers": viewers, "presses": sum(p.presses for p in people)}
        await _leave(people)
        await first.stop(60.0)
        report.rules = [drained, killed, states, Judge(cluster, promises).conduct()]
    return report


async def _back(rule: Rule, people: Sequence[Person], host: HostProcess, *, patient: bool) -> None:
    loop = asyncio.get_running_loop()
    started = loop.time()
    assert host.pid is not None
    busy = cpu_s(host.pid)
    await _all(people, lambda person: person.move(host.url, patient=patient))
    arrived = loop.time() - started
    await _all(people, Person.acknowledged)
    taken = loop.time() - started
    rule.notes |= {"all back after, ms": int(arrived * 1000), "all acknowledged after, ms": int(taken * 1000)}
    rule.notes |= {
        "CPU of their host, ms": int((cpu_s(host.pid) - busy) * 1000),
        "its most memory, MB": peak_memory_mb(host.pid),
    }
    rule.expect(taken <= BOUND_S, f"it took {taken:.1f} s")
    for person in people:
        rule.expect(person.viewer.resumed, f"view {person.viewer.view} was not restored")


def _judge_states(rule: Rule, people: Sequence[Person]) -> None:
    for person in people:
        rule.expect(
            person.own == person.presses, f"a view counts {person.own}; {person.presses} presses were acknowledged"
        )


async def _all(people: Sequence[Person], do: Callable[[Person], Coroutine[Any, Any, None]]) -> None:
    async with asyncio.TaskGroup() as group:
        for person in people:
            group.create_task(do(person))


async def _leave(people: Sequence[Person]) -> None:
    for person in people:
        await person.viewer.cut()
        await person.viewer.close()
