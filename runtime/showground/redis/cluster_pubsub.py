"""Sharded Pub/Sub over a cluster: each channel on the node that serves its slot, and moved with it."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Iterable, Sequence

from showground.redis.pubsub import PubSub, until_confirmed
from showground.redis.slots import Redirection, key_slot
from showground.redis.topology import Node, Topology
from showground.tasks import Tasks

log = logging.getLogger("showground.redis")

SETTLE_S = 0.02
"""Pause between two attempts to put channels where they belong, so that nodes that disagree for a moment are not asked
without end."""


class ClusterSubscriber:
    """Implements `showground.redis.api.Subscriber`: one `PubSub` for each node that has some of the channels.

    A channel that moves is subscribed on its new node and then reported by *on_reset*: what was published between is lost.
    """

    def __init__(
        self,
        topology: Topology,
        on_message: Callable[[str, bytes], None],
        on_reset: Callable[[Sequence[str]], None] | None,
        deadline_s: float,
        tasks: Tasks,
    ) -> None:
        self._topology = topology
        self._on_message = on_message
        self._on_reset = on_reset
        self._deadline_s = deadline_s
        self._tasks = tasks
        self._channels: dict[str, asyncio.Event] = {}
        self._links: dict[Node, PubSub] = {}
        self._homeless: dict[str, bool] = {}
        """Channels of slots that nobody serves just now, and whether they were confirmed once."""
        self._uneasy = asyncio.Event()
        self._unwatch = topology.watch(self._uneasy.set)

    def open(self) -> None:
        self._tasks.keep("redis cluster subscriber", self._settle)

    def close(self) -> None:
        self._unwatch()
        for link in self._links.values():
            link.close()

    async def subscribe(self, *channels: str) -> None:
        fresh = [name for name in channels if name not in self._channels]
        self._channels.update({name: asyncio.Event() for name in fresh})
        self._homeless.update(dict.fromkeys(fresh, False))
        self._place()
        try:
            await until_confirmed({name: self._channels[name] for name in channels}, self._deadline_s)
        except BaseException:
            await self.unsubscribe(*fresh)
            raise

    async def unsubscribe(self, *channels: str) -> None:
        for name in channels:
            self._channels.pop(name, None)
            self._homeless.pop(name, None)
        for link in self._links.values():
            link.release([name for name in channels if name in link.channels])

    async def _settle(self) -> None:
        while True:
            await self._uneasy.wait()
            self._uneasy.clear()
            for node, link in list(self._links.items()):
                self._give_up(link, [name for name in link.channels if self._owner(name) is not node])
                if node.connection.closed:
                    del self._links[node]
                    link.close()
                else:
                    link.renew()
            self._place()
            await asyncio.sleep(SETTLE_S)

    def _owner(self, channel: str) -> Node | None:
        return self._topology.owner(key_slot(channel))

    def _give_up(self, link: PubSub, names: Iterable[str]) -> None:
        chosen = list(names)
        known = link.release(chosen)
        for name in chosen:
            self._channels[name].clear()
            self._homeless[name] = name in known

    def _place(self) -> None:
        """Put what is nowhere on the nodes that are known to serve it."""
        placed: dict[Node, list[str]] = {}
        for name in self._homeless:
            node = self._owner(name)
            if node is None:
                self._topology.suspect()
            else:
                placed.setdefault(node, []).append(name)
        for node, names in placed.items():
            missed = [name for name in names if self._homeless.pop(name)]
            self._link(node).want({name: self._channels[name] for name in names}, missed)

    def _link(self, node: Node) -> PubSub:
        link = self._links.get(node)
        if link is None:
            link = self._links[node] = PubSub(
                node.open_wire, self._on_message, self._on_reset, self._deadline_s, self._tasks, sharded=True
            )
            link.on_refused = lambda text: self._refused(node, text)
            link.start()
        return link

    def _refused(self, node: Node, text: str) -> None:
        redirection = Redirection.read(text, node.address)
        if redirection is not None and not redirection.is_ask:
            self._topology.moved(redirection)
        elif text and not text.startswith(("CLUSTERDOWN", "TRYAGAIN", "ASK")):
            log.error("Redis refused a subscription: %s", text)
            return
        self._topology.suspect()
        self._uneasy.set()
