"""Does to a running cluster what the plan says, and counts it."""

from __future__ import annotations

import asyncio
import random
from collections import Counter
from typing import Protocol

from chaos.app_faults import AppFaults
from chaos.cluster import Cluster, HostProcess
from chaos.failovers import ClusterFailovers, Failovers, SentinelFailovers
from chaos.load import Promises
from chaos.plan import Fault
from chaos.server_faults import ServerFaults
from chaos.store import ClusterStore, OneServer, SentinelStore, Store
from chaos.watch import Watch

PATIENCE_S = 8.0
"""For which a fault waits for a host that can be spared, before it is left out."""


class Harm(Protocol):
    async def do(self, fault: Fault) -> bool:
        """False when there was nothing to do it to."""
        ...


class Faults:
    def __init__(self, cluster: Cluster, promises: Promises, communities: list[str], rng: random.Random) -> None:
        self._cluster = cluster
        self._promises = promises
        self._rng = rng
        self._watch = Watch(cluster, promises, communities[0])
        self._apps = AppFaults(cluster, promises, communities, rng)
        self._store = self._harm_of(cluster.store, communities)
        self.done: Counter[str] = Counter()
        self.skipped: Counter[str] = Counter()

    @property
    def seen(self) -> Counter[str]:
        return self._watch.seen

    def _harm_of(self, store: Store, communities: list[str]) -> Harm:
        match store:
            case OneServer():
                return ServerFaults(store, self._watch, self._promises)
            case SentinelStore():
                return Failovers(SentinelFailovers(store.led))
            case ClusterStore():
                return Failovers(ClusterFailovers(store.cluster, communities, self._rng))
        raise TypeError(store)

    async def run(self, faults: list[Fault]) -> None:
        """All of *faults*, each at its time; returns when the last is over and every host is ready again."""
        started = asyncio.get_running_loop().time()
        async with asyncio.TaskGroup() as group:
            for fault in faults:
                await asyncio.sleep(max(0.0, started + fault.at_s - asyncio.get_running_loop().time()))
                group.create_task(self._one(fault), name=f"fault: {fault.kind}")
        for host in self._cluster.hosts:
            if host.pid is None:
                self._promises.breach(f"host {host.number} ended by itself: {host.last_words()}")
                await self._watch.start(host)
            else:
                await host.ready(self._cluster.client)

    async def _one(self, fault: Fault) -> None:
        did = await self._do(fault)
        (self.done if did else self.skipped)[fault.kind] += 1

    async def _do(self, fault: Fault) -> bool:
        match fault.kind:
            case "upgrade app" | "reinstall app" | "fill quota":
                return await self._apps.do(fault)
            case "kill redis" | "redis away" | "freeze redis" | "kill all" | "disk full":
                return await self._store.do(fault)
            case "fail over" | "kill primary" | "move slots":
                return await self._store.do(fault)
            case "clock jump":
                return await self._set_clock(fault)
        deadline = asyncio.get_running_loop().time() + PATIENCE_S
        while (host := self._choose(fault)) is None:
            if asyncio.get_running_loop().time() > deadline:
                return False
            await asyncio.sleep(0.1)
        host.is_disturbed = True
        try:
            return await self._disturb(host, fault)
        finally:
            host.is_disturbed = False

    def _choose(self, fault: Fault) -> HostProcess | None:
        """A host to which nothing happens now; None rather than the last one that is left in peace."""
        calm = [host for host in self._cluster.hosts if host.is_live and not host.is_disturbed]
        takes_it_away = fault.kind in ("kill host", "freeze host", "stop host", "cut line")
        if not calm or (takes_it_away and len(calm) < 2 and len(self._cluster.hosts) > 1):
            return None
        return calm[fault.host % len(calm)]

    async def _set_clock(self, fault: Fault) -> bool:
        """Of any host, whatever else happens to it; then back over the last minute's beginning, or right, or not at all."""
        host = self._cluster.hosts[fault.host % len(self._cluster.hosts)]
        host.set_clock(host.ahead_s + fault.shift_s)
        await asyncio.sleep(fault.lasts_s)
        match self._rng.randrange(3):
            case 0:
                host.set_clock(0.0)
            case 1:
                host.set_clock(host.ahead_s - host.clock_s() % 60 - self._rng.uniform(0.1, 5.0))
        return True

    async def _disturb(self, host: HostProcess, fault: Fault) -> bool:
        match fault.kind:
            case "kill host":
                host.kill()
                await asyncio.sleep(fault.lasts_s)
                await self._watch.start(host)
            case "stop host":
                code = await host.stop()
                if code != 0:
                    self._promises.breach(f"host {host.number} ended with {code} when asked to: {host.last_words()}")
                await self._watch.start(host)
            case "freeze host":
                host.freeze()
                await asyncio.sleep(fault.lasts_s)
                host.thaw()
            case "kill worker":
                workers = host.workers()
                return bool(workers) and workers[fault.host % len(workers)].kill()
            case "kill zygote":
                zygotes = host.zygotes()
                return bool(zygotes) and zygotes[0].kill()
            case "cut line" if host.line is not None:
                host.line.cut()
                await asyncio.sleep(fault.lasts_s)
                host.line.mend()
            case "slow line" if host.line is not None:
                host.line.delay_s = self._rng.uniform(0.05, 0.6)
                await asyncio.sleep(fault.lasts_s)
                host.line.delay_s = 0.0
        return True
