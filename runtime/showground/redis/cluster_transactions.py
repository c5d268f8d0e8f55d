"""A transaction on a cluster: a connection to the node of its key, found before anything is done on it."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager

from showground.errors import ShowgroundError
from showground.redis.api import Arg, CommandRefused, Reply, Transaction
from showground.redis.routing import command_slot
from showground.redis.slots import Redirection, key_slot
from showground.redis.topology import Topology
from showground.redis.transactions import LentConnection

_PAUSE_S = 0.02
_UNSETTLED = ("MOVED ", "ASK ", "TRYAGAIN", "CLUSTERDOWN")


class MovableTransaction:
    """Follows its slot until the first command was taken. When the slot moves later, `store_unavailable` is raised and
    nothing of the transaction is done; a key that was watched and moves counts as changed."""

    def __init__(self, topology: Topology, key: str, deadline_s: float, stack: AsyncExitStack) -> None:
        self._topology = topology
        self._key = key
        self._deadline_s = deadline_s
        self._stack = stack
        self._lent: LentConnection | None = None

    async def call(self, *command: Arg) -> Reply:
        if self._lent is None:
            probe: tuple[Arg, ...] = command if command_slot(command) is not None else ("EXISTS", self._key)
            self._lent, reply = await self._settle(probe)
            if probe is command:
                return reply
        try:
            return await self._lent.call(*command)
        except CommandRefused as refused:
            raise self._moved(refused) from None

    def _moved(self, refused: CommandRefused) -> Exception:
        if not str(refused).startswith(_UNSETTLED):
            return refused
        self._topology.suspect()
        return ShowgroundError(
            "store_unavailable", f"the keys of a transaction move to another node: {refused}", "redis", retry_after=1.0
        )

    async def _settle(self, probe: tuple[Arg, ...]) -> tuple[LentConnection, Reply]:
        """A connection to the node that takes *probe*, and its reply."""
        loop = asyncio.get_running_loop()
        expires = loop.time() + self._deadline_s
        while True:
            node = self._topology.owner(key_slot(self._key))
            if node is None:
                self._topology.suspect()
                await self._topology.change(max(0.0, expires - loop.time()))
                if loop.time() >= expires:
                    raise ShowgroundError("store_unavailable", f"nobody serves the slot of {self._key}", "redis")
                continue
            try:
                async with AsyncExitStack() as borrowed:
                    lent = await borrowed.enter_async_context(node.lender.lend())
                    reply = await lent.call(*probe)
                    self._stack.push_async_exit(borrowed.pop_all())
                    return lent, reply
            except CommandRefused as refused:
                redirection = Redirection.read(str(refused), node.address)
                if redirection is not None and not redirection.is_ask:
                    self._topology.moved(redirection)
                if not str(refused).startswith("MOVED ") or loop.time() >= expires:
                    raise self._moved(refused) from None
            except ShowgroundError as error:
                self._topology.suspect()
                if error.code != "store_unavailable" or loop.time() >= expires or self._is_dirty(probe):
                    raise
            await asyncio.sleep(_PAUSE_S)

    @staticmethod
    def _is_dirty(probe: tuple[Arg, ...]) -> bool:
        """Whether trying *probe* again on another connection could do it twice."""
        return str(probe[0]).upper() not in ("WATCH", "EXISTS", "GET")


@asynccontextmanager
async def lend(topology: Topology, key: str, deadline_s: float) -> AsyncIterator[Transaction]:
    """Lend a connection to the node of *key*."""
    async with AsyncExitStack() as stack:
        yield MovableTransaction(topology, key, deadline_s, stack)
