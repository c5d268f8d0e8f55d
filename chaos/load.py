"""Steady load, and what was promised about it: every acknowledgement is written down, to be held against the end state."""

from __future__ import annotations

import asyncio
import json
import random
import re
from collections import Counter
from collections.abc import Callable, Coroutine
from dataclasses import dataclass, field
from typing import Any

import aiohttp

from chaos.cluster import Cluster, MissingRetryAfter
from chaos.stream_viewer import StreamViewer
from showground.testing.viewer import NotSeen, Viewer

FAILURES = (aiohttp.ClientError, TimeoutError, OSError)


@dataclass
class Promises:
    """What hosts acknowledged, and what was wrong already while it happened."""

    events: dict[str, dict[str, str]] = field(default_factory=dict)
    """Community → id of an event answered with 202 → how its handler was to behave."""
    published: dict[str, dict[str, int]] = field(default_factory=dict)
    """Community → position → number of the message."""
    breaches: list[str] = field(default_factory=list)
    refusals: Counter[int] = field(default_factory=Counter)
    """Status → how often a host refused for now."""

    def breach(self, text: str) -> None:
        self.breaches.append(text)


class Source:
    """Something that goes on until it is told to stop. *pause_s* is the time between two acts."""

    def __init__(self, cluster: Cluster, promises: Promises, rng: random.Random) -> None:
        self.cluster = cluster
        self.promises = promises
        self.rng = rng
        self.stopping = asyncio.Event()

    async def attempt(self, method: str, path: str, **more: Any) -> tuple[int, Any] | None:
        """One request to one host; None when it came to nothing. Refusals are counted and waited out."""
        try:
            status, body = await self.cluster.request(method, path, **more)
        except MissingRetryAfter as error:
            self.promises.breach(str(error))
            return None
        except FAILURES:
            await asyncio.sleep(0.05)
            return None
        except json.JSONDecodeError as error:
            self.promises.breach(f"{method} {path}: the answer is no JSON: {error.doc[:200]!r}")
            return None
        if status in (429, 503):
            self.promises.refusals[status] += 1
            await asyncio.sleep(min(float((body.get("error") or {}).get("retry_after") or 1.0), 1.0))
        elif status >= 500:
            self.promises.breach(f"{method} {path} answered {status}: {json.dumps(body)[:300]}")
        return status, body


class Events(Source):
    """Sends events one after the other, each again under the same id until a host has accepted it."""

    def __init__(self, *arguments: Any, community: str, pause_s: float = 0.1) -> None:
        super().__init__(*arguments)
        self.community = community
        self.pause_s = pause_s
        self.accepted = promises_of(self.promises.events, community)

    async def run(self) -> None:
        number = 0
        while not self.stopping.is_set():
            number += 1
            behaviour = "never" if number % 40 == 0 else "later" if number % 10 == 0 else "well"
            await self.send(f"{self.community}{number}", behaviour)
            await asyncio.sleep(self.pause_s * self.rng.uniform(0.5, 1.5))

    async def send(self, name: str, behaviour: str) -> None:
        event = {
            "specversion": "1.0", "id": name, "source": "/chaos", "type": "PostCreate", "subject": self.community,
            "data": {"post": {"id": f"t3_{name}", "title": behaviour}},
        }  # fmt: skip
        headers = {"Content-Type": "application/cloudevents+json"}
        while True:
            answer = await self.attempt("POST", "/api/v1/events", data=json.dumps(event), headers=headers)
            if answer is not None and answer[0] == 202:
                if not answer[1]["events"][0]["deliveries"]:
                    self.promises.breach(f"event {name} was accepted and is for nobody: {answer[1]}")
                self.accepted[name] = behaviour
                return
            if answer is not None and answer[0] not in (429, 503) and answer[0] < 500:
                self.promises.breach(f"event {name} was refused: {answer}")
                return
            if self.stopping.is_set():
                return


class Publisher(Source):
    """Publishes numbered messages, each once. Those whose answer was lost may or may not be in the channel."""

    def __init__(self, *arguments: Any, community: str, pause_s: float = 0.15) -> None:
        super().__init__(*arguments)
        self.community = community
        self.pause_s = pause_s
        self.accepted = promises_of(self.promises.published, community)

    async def run(self) -> None:
        number = 0
        path = f"/api/v1/communities/{self.community}/apps/ledger/channels/news"
        while not self.stopping.is_set():
            number += 1
            answer = await self.attempt("POST", path, json={"n": number})
            if answer is not None and answer[0] == 200:
                self.accepted[answer[1]["position"]] = number
            await asyncio.sleep(self.pause_s * self.rng.uniform(0.5, 1.5))


@dataclass
class Segment:
    """Messages that a listener was told are all there are between the first and the last."""

    since: str | None
    positions: list[str] = field(default_factory=list)


class Listener(Source):
    """A script on the channel's WebSocket, which comes back to any host with the position it has."""

    def __init__(self, *arguments: Any, community: str) -> None:
        super().__init__(*arguments)
        self.community = community
        self.segments: list[Segment] = []
        self.recoveries = Counter[bool]()

    async def run(self) -> None:
        while not self.stopping.is_set():
            host = self.cluster.any_live()
            if host is not None:
                try:
                    await self._listen(host.url)
                except FAILURES:
                    pass
            await asyncio.sleep(self.rng.uniform(0.05, 0.3))

    @property
    def position(self) -> str | None:
        if not self.segments:
            return None
        last = self.segments[-1]
        return last.positions[-1] if last.positions else last.since

    async def _listen(self, url: str) -> None:
        query = {} if self.position is None else {"since": self.position}
        address = f"{url}/api/v1/communities/{self.community}/apps/ledger/channels/news"
        async with self.cluster.client.ws_connect(address, params=query, heartbeat=1.0) as socket:
            while not self.stopping.is_set():
                try:
                    message = await socket.receive(timeout=0.5)
                except TimeoutError:
                    continue
                if message.type is not aiohttp.WSMsgType.TEXT:
                    return
                self._take(json.loads(message.data))

    def _take(self, frame: dict[str, Any]) -> None:
        match frame["type"]:
            case "hello":
                if self.segments:
                    self.recoveries[frame["recovered"]] += 1
                if not self.segments or not frame["recovered"]:
                    self.segments.append(Segment(frame["position"]))
            case "gap":
                self.segments.append(Segment(frame["position"]))
            case "message":
                self.segments[-1].positions.append(frame["position"])


class Member(Source):
    """A person with a live post open: presses, and goes to another host when theirs is gone."""

    def __init__(self, *arguments: Any, community: str, post: str, streams: bool = False, pause_s: float = 0.3) -> None:
        super().__init__(*arguments)
        self.community = community
        self.viewer = StreamViewer("", post, self._any_url) if streams else Viewer("", post)
        self.pause_s = pause_s
        self.counted = 0
        """Presses that were acknowledged without an error."""
        self.refused = 0
        """Presses that were acknowledged with an error: none of it was kept."""
        self.returns = 0
        self._last_host = ""

    async def run(self) -> None:
        try:
            await self._connect()
            while not self.stopping.is_set():
                await self.press()
                await asyncio.sleep(self.pause_s * self.rng.uniform(0.5, 1.5))
        except NotSeen as error:
            self.promises.breach(f"a viewer of {self.community} was stuck: {error}")

    def _any_url(self) -> str | None:
        host = self.cluster.any_live()
        return None if host is None else host.url

    async def press(self) -> None:
        viewer = self.viewer
        effects = len(viewer.effects)
        if viewer.farewell is not None:
            await self._connect()
        await viewer.press("Add own", wait=False)
        seq = viewer._seq
        while viewer.ack < seq:
            try:
                await viewer.until(lambda: viewer.ack >= seq or viewer.farewell, "an acknowledgement")
            except NotSeen:
                await viewer.cut()  # as a browser does that heard nothing for long
            if viewer.ack < seq:
                await self._connect()
        if any(effect["type"] == "error" for effect in viewer.effects[effects:]):
            self.refused += 1
        else:
            self.counted += 1

    async def _connect(self) -> None:
        """Try until a host takes the view up. A view that is not restored is a breach."""
        viewer = self.viewer
        had, waits = viewer.view, 0
        while True:
            await viewer.cut()
            viewer.errors.clear()
            host = self.cluster.any_live()
            if host is not None:
                viewer.url = host.url
                try:
                    async with asyncio.timeout(6.0):
                        await viewer.connect()
                    if viewer.resumed is not None:
                        break
                except (*FAILURES, NotSeen):
                    pass
            waits += 1
            if waits > 150:
                raise NotSeen(f"no host took view {had} up in {waits} tries: {viewer.errors[-1:]} {viewer.farewell}")
            await asyncio.sleep(self.rng.uniform(0.1, 0.4))
        if had is not None:
            self.returns += 1
            if not viewer.resumed or viewer.view != had:
                self.promises.breach(f"view {had} of {self.community} was not restored: {viewer.farewell}")
                self.counted = self.refused = 0

    def shows(self) -> tuple[int, str, list[list[int]]]:
        """(own count, channel's status, segments heard) as on the screen."""
        lines = self.viewer.text.splitlines()
        found = {line.split(" ", 1)[0]: line.split(" ", 1)[1] for line in lines if " " in line}
        return int(found["own"]), found["channel"], json.loads(re.sub("'", '"', found["heard"]))

    async def close(self) -> None:
        await self.viewer.cut()
        await self.viewer.close()


class Crowd:
    """Runs sources side by side and stops them together."""

    def __init__(self) -> None:
        self._running: dict[asyncio.Task[None], Source] = {}

    def start(self, source: Source, run: Callable[[], Coroutine[Any, Any, None]]) -> None:
        self._running[asyncio.create_task(run(), name=type(source).__name__)] = source

    async def stop(self, timeout_s: float = 60.0) -> list[str]:
        """Returns what did not stop or failed."""
        for source in self._running.values():
            source.stopping.set()
        done, late = await asyncio.wait(self._running, timeout=timeout_s)
        for task in late:
            task.cancel()
        await asyncio.gather(*late, return_exceptions=True)
        failed = [f"{task.get_name()} failed: {task.exception()!r}" for task in done if task.exception() is not None]
        return [*failed, *(f"{task.get_name()} did not end" for task in late)]


def promises_of(of: dict[str, Any], community: str) -> Any:
    return of.setdefault(community, {})
