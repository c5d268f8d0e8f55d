"""Does to a running cluster what the plan says, and counts it."""

from __future__ import annotations

import asyncio
import os
import random
import signal
from collections import Counter

import aiohttp

from chaos.cluster import Cluster, HostProcess, readiness
from chaos.load import Promises
from chaos.plan import Fault

GUEST = "drifter"
"""The community in which the app is uninstalled now and then; nothing in it is counted."""
RED_S = 3.0
"""How long after its limit `/readyz` may take to go red (its own poll included)."""
GREEN_S = 30.0
"""A host that was frozen shortly before is red for the 10 s in which that counts as a blocked event loop."""


class Faults:
    def __init__(self, cluster: Cluster, promises: Promises, communities: list[str], rng: random.Random) -> None:
        self._cluster = cluster
        self._promises = promises
        self._communities = communities
        self._rng = rng
        self._redis = asyncio.Lock()
        self._apps = asyncio.Lock()
        self._version = 0
        self.done: Counter[str] = Counter()
        self.skipped: Counter[str] = Counter()
        self.readiness_seen: Counter[str] = Counter()

    async def run(self, faults: list[Fault]) -> None:
        """All of *faults*, each at its time; returns when the last is over and every host is ready again."""
        started = asyncio.get_running_loop().time()
        async with asyncio.TaskGroup() as group:
            for fault in faults:
                await asyncio.sleep(max(0.0, started + fault.at_s - asyncio.get_running_loop().time()))
                group.create_task(self._one(fault), name=f"fault: {fault.kind}")
        for host in self._cluster.hosts:
            await host.ready(self._cluster.client)

    async def _one(self, fault: Fault) -> None:
        did = await self._do(fault)
        (self.done if did else self.skipped)[fault.kind] += 1

    async def _do(self, fault: Fault) -> bool:
        match fault.kind:
            case "kill redis" | "redis away":
                return await self._redis_away(fault)
            case "freeze redis":
                return await self._freeze_redis(fault)
            case "kill all":
                return await self._kill_all()
            case "upgrade app":
                return await self._upgrade()
            case "reinstall app":
                return await self._reinstall()
        host = self._choose(fault)
        if host is None:
            return False
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

    async def _disturb(self, host: HostProcess, fault: Fault) -> bool:
        match fault.kind:
            case "kill host":
                host.kill()
                await asyncio.sleep(fault.lasts_s)
                await self._start(host)
            case "stop host":
                code = await host.stop()
                if code != 0:
                    self._promises.breach(f"host {host.number} ended with {code} when asked to: {host.last_words()}")
                await self._start(host)
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
            case "cut line":
                host.proxy.cut()
                await asyncio.sleep(fault.lasts_s)
                host.proxy.mend()
            case "slow line":
                host.proxy.delay_s = self._rng.uniform(0.05, 0.6)
                await asyncio.sleep(fault.lasts_s)
                host.proxy.delay_s = 0.0
        return True

    async def _start(self, host: HostProcess) -> None:
        """A host that is started while Redis is away gives up; a supervisor would start it again, and so do we."""
        for _ in range(20):
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

    async def _redis_away(self, fault: Fault) -> bool:
        async with self._redis:
            redis = self._cluster.redis
            redis.kill()
            if fault.kind == "redis away":
                await asyncio.sleep(fault.lasts_s)
                await self._all_red()
            else:
                await asyncio.sleep(fault.lasts_s)
            redis.start()
            await asyncio.to_thread(redis.wait_ready)
            if fault.kind == "redis away":
                await self._all_green()
        return True

    async def _freeze_redis(self, fault: Fault) -> bool:
        """It does late what it was asked in time: hosts can't know whether a command that was not answered was carried out."""
        async with self._redis:
            pid = self._cluster.redis.pid
            assert pid is not None
            os.kill(pid, signal.SIGSTOP)
            try:
                await asyncio.sleep(fault.lasts_s)
            finally:
                os.kill(pid, signal.SIGCONT)
        return True

    async def _kill_all(self) -> bool:
        """As a power cut does, but for what the disk's cache holds: every host that is up, and Redis, in one moment."""
        async with self._redis:
            hosts = self._settled()
            for host in hosts:
                host.is_disturbed = True
            try:
                self._cluster.redis.kill()
                for host in hosts:
                    host.kill()
                self._cluster.redis.start()
                await asyncio.to_thread(self._cluster.redis.wait_ready)
                await asyncio.gather(*map(self._start, hosts))
            finally:
                for host in hosts:
                    host.is_disturbed = False
        return True

    async def _all_red(self) -> None:
        for host in self._settled():
            status = await readiness(self._cluster.client, host.url)
            if status is None:
                continue  # it was hit by another fault just now
            self.readiness_seen["red" if status == 503 else "not red"] += 1
            if status != 503:
                self._promises.breach(f"host {host.number} says it is ready ({status}) while Redis is away")
            await self._refuses(host)

    async def _refuses(self, host: HostProcess) -> None:
        """A request that needs Redis is refused in good order."""
        path = f"/api/v1/communities/{self._communities[0]}/apps/ledger/channels/news"
        try:
            async with self._cluster.client.post(host.url + path, json={"n": 0}) as response:
                if response.status != 503 or "Retry-After" not in response.headers:
                    self._promises.breach(f"while Redis is away, a publication is answered {response.status}")
                else:
                    self.readiness_seen["503 with Retry-After"] += 1
        except (aiohttp.ClientError, TimeoutError, OSError) as error:
            if host.is_live and not host.is_disturbed:
                self._promises.breach(f"while Redis is away, a publication got no answer: {error!r}")

    async def _all_green(self) -> None:
        deadline = asyncio.get_running_loop().time() + GREEN_S
        for host in self._settled():
            while await readiness(self._cluster.client, host.url) != 200:
                if asyncio.get_running_loop().time() > deadline:
                    if host.is_live and not host.is_disturbed:
                        self._promises.breach(f"host {host.number} is not ready {GREEN_S:g} s after Redis came back")
                    break
                await asyncio.sleep(0.1)
            else:
                self.readiness_seen["green again"] += 1

    def _settled(self) -> list[HostProcess]:
        return [host for host in self._cluster.hosts if host.is_live and not host.is_disturbed]

    async def _upgrade(self) -> bool:
        async with self._apps:
            self._version += 1
            version = f"1.0.{self._version}"
            await self._cluster.upload(version)
            await self._cluster.install(self._rng.choice(self._communities), version)
        return True

    async def _reinstall(self) -> bool:
        async with self._apps:
            await self._cluster.insist("DELETE", f"/api/v1/communities/{GUEST}/apps/ledger", good=(200, 202, 204, 404))
            await self._cluster.install(GUEST, "1.0.0")
        return True
