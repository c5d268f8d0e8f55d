"""Which node of a cluster serves which slot: learnt from the nodes, corrected by their redirections, one connection to each."""

from __future__ import annotations

import asyncio
import logging
import random
from collections.abc import Callable, Sequence

from showground.errors import ShowgroundError
from showground.redis.address import Address
from showground.redis.api import CommandRefused
from showground.redis.connection import FIRST_PAUSE_S, Connection
from showground.redis.slots import SLOTS, Redirection, SlotRange, parse_slots
from showground.redis.transactions import Lender
from showground.redis.wire import Wire, open_wire
from showground.tasks import Tasks

log = logging.getLogger("showground.redis")

REFRESH_S = 30.0
"""The map is read afresh this often though nothing is wrong, so that nodes that were added meanwhile are known when it is."""
LEAST_S = 0.02
"""Between two readings, however many redirections ask for one."""
LONGEST_PAUSE_S = 1.0
"""Between two readings while something is wrong."""
ANSWER_S = 1.0
"""A node that takes longer to tell the map is passed over for the next."""


class Node:
    """A primary: the connection that everybody shares, and those that are lent."""

    def __init__(self, address: Address, deadline_s: float, tasks: Tasks) -> None:
        self.address = address
        self._deadline_s = deadline_s
        self.connection = Connection(self.open_wire, deadline_s, tasks, str(address))
        self.lender = Lender(self.open_wire, deadline_s)

    async def open_wire(self) -> Wire:
        return await open_wire(self.address, self._deadline_s)

    def retire(self) -> None:
        self.connection.retire()
        self.lender.close()

    def close(self) -> None:
        self.connection.close()
        self.lender.close()


class Topology:
    """The slot map. Nodes that serve no slot any more are retired: what waits for them is routed again by the callers."""

    def __init__(self, seeds: Sequence[Address], deadline_s: float, tasks: Tasks) -> None:
        self._seeds = tuple(seeds)
        self._deadline_s = deadline_s
        self._tasks = tasks
        self._nodes: dict[str, Node] = {}
        self._owners: list[Node | None] = [None] * SLOTS
        self._others: tuple[Address, ...] = ()
        self._informed: Address | None = None
        """Who redirected us last knows more than others."""
        self._stale = asyncio.Event()
        self._changed = asyncio.Event()
        self._listeners: set[Callable[[], None]] = set()

    async def open(self) -> None:
        """Read the map for the first time, or raise why that is impossible. Each node has the whole deadline: nothing is
        served meanwhile that would have to go on."""
        await self._refresh(self._deadline_s)
        self._tasks.keep("redis cluster map", self._keep)

    def close(self) -> None:
        for node in self._nodes.values():
            node.close()

    # --- asking ---

    def owner(self, slot: int | None) -> Node | None:
        """Who serves *slot* (None: any slot), as far as is known; None when nobody does."""
        if slot is None:
            ready = (node for node in self._nodes.values() if node.connection.up)
            return next(ready, None) or next(iter(self._nodes.values()), None)
        return self._owners[slot]

    def primaries(self) -> Sequence[Node]:
        """All nodes that serve slots."""
        return list(dict.fromkeys(node for node in self._owners if node is not None))

    def node(self, address: Address) -> Node:
        """The node at *address*, known or new: an importing node serves no slot of its own perhaps."""
        node = self._nodes.get(str(address))
        if node is None:
            node = self._nodes[str(address)] = Node(address, self._deadline_s, self._tasks)
            node.connection.on_lost = self.suspect
            node.connection.start()
        return node

    def watch(self, listener: Callable[[], None]) -> Callable[[], None]:
        """Call *listener* after each change of an owner; returns what ends that."""
        self._listeners.add(listener)
        return lambda: self._listeners.discard(listener)

    async def change(self, timeout_s: float) -> None:
        """Wait for the next change, at most *timeout_s*."""
        try:
            async with asyncio.timeout(timeout_s):
                await self._changed.wait()
        except TimeoutError:
            pass

    # --- learning ---

    def suspect(self) -> None:
        """The map may be wrong: read it again soon."""
        self._stale.set()

    def moved(self, redirection: Redirection) -> None:
        """Believe a MOVED at once, and read the whole map soon."""
        self._informed = redirection.address
        node = self.node(redirection.address)
        if self._owners[redirection.slot] is not node:
            self._owners[redirection.slot] = node
            self._tell()
        self.suspect()

    def _tell(self) -> None:
        self._changed.set()
        self._changed = asyncio.Event()
        for listener in tuple(self._listeners):
            listener()

    async def _keep(self) -> None:
        failures = 0
        unreadable = False
        while True:
            in_order = None not in self._owners and all(node.connection.up for node in self._nodes.values())
            pause = min(FIRST_PAUSE_S * 2 ** min(failures, 10), LONGEST_PAUSE_S)
            try:
                async with asyncio.timeout(REFRESH_S if in_order else random.uniform(pause / 2, pause)):  # noqa: S311
                    await self._stale.wait()
            except TimeoutError:
                pass
            self._stale.clear()
            try:
                await self._refresh(min(ANSWER_S, self._deadline_s))
            except ShowgroundError as error:
                if not unreadable:
                    log.warning("the cluster's map cannot be read: %s", error.message)
                unreadable = True
                failures += 1
            else:
                unreadable = False
                failures = 0 if in_order else failures + 1
            await asyncio.sleep(LEAST_S)

    async def _refresh(self, answer_s: float) -> None:
        """Ask one node after the other, the best informed first, until one tells the map."""
        up = {str(node.address): node for node in self._nodes.values() if node.connection.up}
        informed = [self._informed] if self._informed else []
        failure: ShowgroundError | None = None
        for address in dict.fromkeys([*informed, *(n.address for n in up.values()), *self._others, *self._seeds]):
            try:
                async with asyncio.timeout(answer_s):
                    ranges = await self._ask(address, up.get(str(address)), answer_s)
            except TimeoutError:
                error = ShowgroundError("store_unavailable", f"Redis at {address} does not answer in time", "redis")
            except ShowgroundError as raised:
                error = raised
            else:
                self._use(ranges)
                return
            if failure is None or error.code == "misconfigured":
                failure = error
        raise failure or ShowgroundError("store_unavailable", "no node of the cluster is known", "redis")

    async def _ask(self, address: Address, node: Node | None, answer_s: float) -> Sequence[SlotRange]:
        if node is not None:
            reply = (await node.connection.send([("CLUSTER", "SLOTS")]))[0]
        else:
            wire = await open_wire(address, answer_s)
            try:
                reply = (await wire.send([("CLUSTER", "SLOTS")]))[0]
            finally:
                wire.abort("not needed any more")
        if isinstance(reply, CommandRefused):
            raise ShowgroundError(
                "misconfigured", f"Redis at {address} refused CLUSTER SLOTS: {reply}", "redis.url",
                "Use redis:// for a server that is no part of a cluster; an ACL must allow +cluster|slots.",
            )  # fmt: skip
        if not reply:
            raise ShowgroundError("store_unavailable", f"Redis at {address} knows of no slot that is served", "redis")
        return parse_slots(reply, address)

    def _use(self, ranges: Sequence[SlotRange]) -> None:
        owners: list[Node | None] = [None] * SLOTS
        for part in ranges:
            owners[part.first : part.last + 1] = [self.node(part.primary)] * (part.last + 1 - part.first)
        self._others = tuple(replica for part in ranges for replica in part.replicas)
        self._informed = None
        serving = {node for node in owners if node is not None}
        for name, node in list(self._nodes.items()):
            if node not in serving:
                del self._nodes[name]
                node.retire()
        if owners != self._owners:
            self._owners = owners
            self._tell()
