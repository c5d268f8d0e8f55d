"""What is done to a Redis that fails over: another server leads, by order or because the first one died, and slots move."""

from __future__ import annotations

import asyncio
import random
from typing import Protocol

from chaos.cluster import PREFIX
from chaos.plan import Fault
from showground.keys import InstallationId, KeySpace, installation_id
from showground.redis.slots import key_slot
from showground.testing.cluster import ClusterNode, RunningCluster, until
from showground.testing.sentinels import LedServers

AT_ONCE = 5
"""Keys of a slot that are moved in one step."""


class Failing(Protocol):
    def do(self, fault: Fault) -> None:
        """Blocks until all is in order again."""
        ...


class Failovers:
    """One at a time: what has failed over must have a replica again before the next."""

    def __init__(self, failing: Failing) -> None:
        self._failing = failing
        self._lock = asyncio.Lock()

    async def do(self, fault: Fault) -> bool:
        async with self._lock:
            await asyncio.to_thread(self._failing.do, fault)
        return True


class SentinelFailovers:
    def __init__(self, led: LedServers) -> None:
        self._led = led

    def do(self, fault: Fault) -> None:
        led = self._led
        if fault.kind == "fail over":
            led.hand_over()
        else:
            before = led.leader()
            led.servers[before].kill()
            until(lambda: led.leader() != before, "the replica leads")
        led.restore()


class ClusterFailovers:
    def __init__(self, cluster: RunningCluster, communities: list[str], rng: random.Random) -> None:
        self._cluster = cluster
        self._rng = rng
        self._slots = _slots_in_use([installation_id("ledger", community) for community in communities])

    def do(self, fault: Fault) -> None:
        match fault.kind:
            case "move slots":
                self._move(self._rng.choice(self._slots), whole=self._rng.random() < 0.5)
            case "fail over":
                victim = self._primary()
                replica = next(n for n in self._cluster.nodes if not n.leads and _follows(n, victim))
                replica.do("CLUSTER", "FAILOVER")
                until(lambda: replica.leads, "the replica leads")
            case _:
                victim = self._primary()
                replica = next(n for n in self._cluster.nodes if not n.leads and _follows(n, victim))
                victim.server.kill()
                until(lambda: replica.leads, "the replica leads")
        self._cluster.restore()

    def _primary(self) -> ClusterNode:
        """One that serves something that is in use."""
        return self._cluster.owner(self._rng.choice(self._slots))

    def _move(self, slot: int, *, whole: bool) -> None:
        source = self._cluster.owner(slot)
        target = self._rng.choice([node for node in self._cluster.primaries() if node is not source])
        if whole:
            source.do("CLUSTER", "MIGRATESLOTS", "SLOTSRANGE", slot, slot, "NODE", target.id)
            until(lambda: self._cluster.owner(slot) is target, "the slot has moved")
            return
        target.do("CLUSTER", "SETSLOT", slot, "IMPORTING", source.id)
        source.do("CLUSTER", "SETSLOT", slot, "MIGRATING", target.id)
        while names := source.do("CLUSTER", "GETKEYSINSLOT", slot, AT_ONCE):
            source.do("MIGRATE", "127.0.0.1", target.port, "", 0, 5000, "AUTH", self._cluster.password, "KEYS", *names)
        for node in (target, source, *self._cluster.primaries()):
            node.do("CLUSTER", "SETSLOT", slot, "NODE", target.id)


def _slots_in_use(installations: list[InstallationId]) -> list[int]:
    """Those of the installations' own keys, and of the queues and schedules that they are in."""
    keys = KeySpace(PREFIX)
    own = [keys.of(installation, "kv") for installation in installations]
    shared = [keys.shard(keys.shard_of(installation), "deliveries") for installation in installations]
    return sorted({key_slot(key) for key in (*own, *shared)})


def _follows(replica: ClusterNode, primary: ClusterNode) -> bool:
    return bool(int(replica.client.info("replication")["master_port"]) == primary.port)
