"""`showground.redis.api.Redis` on a cluster: one shared, pipelined connection to each primary."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager

from showground.errors import ShowgroundError
from showground.redis.address import Address
from showground.redis.api import Arg, CommandRefused, Redis, Reply, Subscriber, Transaction
from showground.redis.cluster_pubsub import ClusterSubscriber
from showground.redis.cluster_transactions import lend
from showground.redis.commands import Commands
from showground.redis.connection import checked
from showground.redis.redirects import ELSEWHERE, Routed
from showground.redis.routing import command_name, command_slot
from showground.redis.slots import pattern_slot
from showground.redis.topology import Node, Topology
from showground.redis.wire import let_transports_close
from showground.tasks import Tasks


class ClusterRedis(Commands):
    """Talks to the nodes that serve the slots of the keys. Commands of several slots (MGET over two of them, say) are
    refused by the cluster; `pipeline` may mix slots, and keeps the order of what goes to one slot.

    What no node took (a failover goes on, a slot moves) is sent again until the deadline; what a node had when its
    connection was lost fails with `store_unavailable`.
    """

    def __init__(self, topology: Topology, deadline_s: float) -> None:
        self._topology = topology
        self._deadline_s = deadline_s

    async def call(self, *command: Arg) -> Reply:
        if command_name(command) == "SCRIPT":
            return (await self._everywhere(command))[0]
        node = self._topology.owner(command_slot(command))
        if node is not None and node.connection.up:
            # The usual way, at half the cost of the one that can wait and go elsewhere.
            try:
                reply = (await node.connection.send((command,)))[0]
            except ShowgroundError:
                self._topology.suspect()
                raise
            if not isinstance(reply, CommandRefused):
                return reply
            if not str(reply).startswith(ELSEWHERE):
                raise checked(reply)
        reply = checked((await Routed(self._topology, (command,), self._deadline_s).all())[0])
        if isinstance(reply, CommandRefused):
            raise reply
        return reply

    def _send(self, commands: Sequence[Sequence[Arg]]) -> Awaitable[list[Reply]]:
        return Routed(self._topology, commands, self._deadline_s).all()

    def transaction(self, key: str) -> AbstractAsyncContextManager[Transaction]:
        return lend(self._topology, key, self._deadline_s)

    @asynccontextmanager
    async def subscriber(
        self,
        on_message: Callable[[str, bytes], None],
        on_reset: Callable[[Sequence[str]], None] | None = None,
    ) -> AsyncIterator[Subscriber]:
        async with Tasks() as tasks:
            subscriber = ClusterSubscriber(self._topology, on_message, on_reset, self._deadline_s, tasks)
            try:
                subscriber.open()
                yield subscriber
            finally:
                subscriber.close()
                await let_transports_close()

    @property
    def publish_command(self) -> str:
        return "SPUBLISH"

    async def scan(self, pattern: str, count: int = 500) -> AsyncIterator[bytes]:
        slot = pattern_slot(pattern)
        seen: set[Node] = set()
        while True:
            node = next((n for n in self._topology.primaries() if n not in seen), None)
            if node is None:
                return
            seen.add(node)
            if slot is not None and not await _on(node, "CLUSTER", "COUNTKEYSINSLOT", slot):
                continue  # while a slot moves, two nodes have some of its keys
            cursor: bytes = b"0"
            while True:
                cursor, found = await _on(node, "SCAN", cursor, "MATCH", pattern, "COUNT", count)
                for key in found:
                    yield key
                if cursor == b"0":
                    break

    async def ping(self) -> float:
        """Seconds until the slowest primary has answered; raises `store_unavailable` when one does not."""
        loop = asyncio.get_running_loop()
        start = loop.time()
        await self._everywhere(("PING",))
        return loop.time() - start

    async def _everywhere(self, command: Sequence[Arg]) -> list[Reply]:
        """The replies of all primaries."""
        nodes = self._topology.primaries()
        if not nodes:
            raise ShowgroundError("store_unavailable", "no node of the cluster serves a slot", "redis")
        replies = await asyncio.gather(*(_on(node, *command) for node in nodes), return_exceptions=True)
        for reply in replies:
            if isinstance(reply, BaseException):
                self._topology.suspect()
                raise reply
        return replies


async def _on(node: Node, *command: Arg) -> Reply:
    """One command to one node, wherever its keys are."""
    reply = checked((await node.connection.send([command]))[0])
    if isinstance(reply, CommandRefused):
        raise reply
    return reply


@asynccontextmanager
async def open_cluster(seeds: Sequence[Address], deadline_s: float) -> AsyncIterator[Redis]:
    """Open a client; raises `store_unavailable` or `misconfigured` when none of *seeds* tells the map of its cluster."""
    async with Tasks() as tasks:
        topology = Topology(seeds, deadline_s, tasks)
        try:
            await topology.open()
            yield ClusterRedis(topology, deadline_s)
        finally:
            topology.close()
            await let_transports_close()
