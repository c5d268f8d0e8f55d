"""What is done to installations: upgraded in use, uninstalled and installed again, filled up to their quota."""

from __future__ import annotations

import asyncio
import random

from chaos.cluster import Cluster
from chaos.jobs import invoke
from chaos.load import Events, Promises
from chaos.plan import Fault

GUEST = "drifter"
"""The community in which the app is uninstalled now and then; nothing in it is counted."""
GLUTTON = "glutton"
"""The community whose installation is filled up; its events are counted like all others."""
EVENTS = 3
"""Sent to an installation that is full."""


class AppFaults:
    def __init__(self, cluster: Cluster, promises: Promises, communities: list[str], rng: random.Random) -> None:
        self._cluster = cluster
        self._promises = promises
        self._communities = communities
        self._rng = rng
        self._glutton = Events(cluster, promises, rng, community=GLUTTON)
        self._lock = asyncio.Lock()
        self._version = 0
        self._events = 0

    async def do(self, fault: Fault) -> bool:
        async with self._lock:
            match fault.kind:
                case "upgrade app":
                    self._version += 1
                    version = f"1.0.{self._version}"
                    await self._cluster.upload(version)
                    await self._cluster.install(self._rng.choice(self._communities), version)
                case "reinstall app":
                    path = f"/api/v1/communities/{GUEST}/apps/ledger"
                    await self._cluster.insist("DELETE", path, good=(200, 202, 204, 404))
                    await self._cluster.install(GUEST, "1.0.0")
                case "fill quota":
                    await self._fill(fault.lasts_s)
        return True

    async def _fill(self, seconds: float) -> None:
        """Once there is room again, what came meanwhile must be handled after all: the judge looks for it."""
        code = await invoke(self._cluster, GLUTTON, "chaos.fill", {})
        if code != "quota_exceeded":
            self._promises.breach(f"an app that fills its quota is told {code!r}")
        for _ in range(EVENTS):
            self._events += 1
            await self._glutton.send(f"{GLUTTON}{self._events}", "well")
        await asyncio.sleep(seconds)
        if not await invoke(self._cluster, GLUTTON, "chaos.free", {}):
            self._promises.breach("an app that made room in its quota still cannot write")
