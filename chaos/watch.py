"""Whether hosts say of themselves what is true: red and refusing while Redis cannot serve, green again afterwards."""

from __future__ import annotations

import asyncio
from collections import Counter

import aiohttp

from chaos.cluster import Cluster, HostProcess, readiness
from chaos.load import Promises

GREEN_S = 30.0
"""A host that was frozen shortly before is red for the 10 s in which that counts as a blocked event loop."""


COME_UP_S = 90.0
"""Redis may be away, or its disk full, for 20 s of these, and several hosts start at the same time."""


class Watch:
    def __init__(self, cluster: Cluster, promises: Promises, community: str) -> None:
        self._cluster = cluster
        self._promises = promises
        self._path = f"/api/v1/communities/{community}/apps/ledger/channels/news"
        self.seen: Counter[str] = Counter()

    def settled(self) -> list[HostProcess]:
        """Hosts to which nothing happens now."""
        return [host for host in self._cluster.hosts if host.is_live and not host.is_disturbed]

    async def start(self, host: HostProcess) -> None:
        """A host that is started while Redis is away gives up; a supervisor would start it again, and so do we."""
        loop = asyncio.get_running_loop()
        until = loop.time() + COME_UP_S
        while loop.time() < until:
            host.start()
            try:
                await host.ready(self._cluster.client)
                return
            except RuntimeError as error:
                if host.pid is not None:
                    self._promises.breach(str(error))
                    return
                await asyncio.sleep(0.5)
        self._promises.breach(f"host {host.number} did not come up again: {host.last_words()}")

    async def all_red(self, why: str) -> None:
        for host in self.settled():
            status = await readiness(self._cluster.client, host.url)
            if status is None:
                continue  # it was hit by another fault just now
            self.seen["red" if status == 503 else "not red"] += 1
            if status != 503:
                self._promises.breach(f"host {host.number} says it is ready ({status}) while {why}")

    async def all_refuse(self, why: str) -> None:
        """A request that needs Redis is refused in good order."""
        for host in self.settled():
            answer = await self.publish(host)
            if answer is None:
                if host.is_live and not host.is_disturbed:
                    self._promises.breach(f"while {why}, a publication got no answer from host {host.number}")
            elif answer != (503, True):
                self._promises.breach(f"while {why}, a publication is answered {answer[0]}")
            else:
                self.seen["503 with Retry-After"] += 1

    async def publish(self, host: HostProcess) -> tuple[int, bool] | None:
        """The status of a publication, and whether it was told when to try again; None without an answer."""
        try:
            async with self._cluster.client.post(host.url + self._path, json={"n": 0}) as response:
                return response.status, "Retry-After" in response.headers
        except (aiohttp.ClientError, TimeoutError, OSError):
            return None

    async def all_green(self, since: str) -> None:
        deadline = asyncio.get_running_loop().time() + GREEN_S
        for host in self.settled():
            while await readiness(self._cluster.client, host.url) != 200:
                if asyncio.get_running_loop().time() > deadline:
                    if host.is_live and not host.is_disturbed:
                        self._promises.breach(f"host {host.number} is not ready {GREEN_S:g} s after {since}")
                    break
                await asyncio.sleep(0.1)
            else:
                self.seen["green again"] += 1
