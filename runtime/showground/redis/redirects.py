"""Sending commands to the nodes of a cluster, and again to where the nodes say that they belong."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Sequence

from showground.errors import ShowgroundError
from showground.redis.api import Arg, CommandRefused, Reply
from showground.redis.connection import checked
from showground.redis.routing import SCRIPTED, command_name, command_slot
from showground.redis.slots import Redirection
from showground.redis.topology import Node, Topology

LATER = ("TRYAGAIN", "CLUSTERDOWN")
"""Nothing was done, and in a moment it may be: keys are between two nodes, or a failover goes on."""
ELSEWHERE = ("MOVED ", "ASK ", *LATER)
"""What a node answers when it did not execute a command and another one, or it later, may."""
_PAUSE_S = 0.02
_PATIENCE = 3
"""Redirections of one command that are followed without a pause."""


class Routed:
    """Commands on their way: each is sent until a node has executed or refused it, or the deadline is over.

    A command is sent again only when a node said that it did not execute it, or when it was never sent. Commands of one slot
    that are redirected together keep their order; so do all of one key.

    An ASK is followed for what works on its keys alone. Scripts wait instead until their slot has moved: the node that imports
    it would run them although it lacks some of the keys still, those most of all that a script derives from others.
    """

    def __init__(self, topology: Topology, commands: Sequence[Sequence[Arg]], deadline_s: float) -> None:
        self._topology = topology
        self._commands = commands
        self._loop = asyncio.get_running_loop()
        self._expires = self._loop.time() + deadline_s
        self._slots = [command_slot(command) for command in commands]
        self._asking: dict[int, Node] = {}
        """Commands that one node asks to put to another, this once."""
        self._late: set[int] = set()
        """Commands that must wait a moment before they are sent again."""
        self.replies: list[Reply] = [None] * len(commands)

    async def all(self) -> list[Reply]:
        """The replies, in the order of the commands. Raises `store_unavailable` when some were not had in time."""
        todo: Sequence[int] = range(len(self._commands))
        rounds = 0
        while todo := await self._round(todo):
            rounds += 1
            left = self._expires - self._loop.time()
            if left <= 0:
                self._give_up(todo)
            if rounds >= _PATIENCE or self._late:
                pause = random.uniform(_PAUSE_S / 2, _PAUSE_S) * min(rounds, 5)  # noqa: S311  # jitter, not a secret
                await asyncio.sleep(min(pause, left))
            self._late.clear()
        return self.replies

    def _give_up(self, todo: Sequence[int]) -> None:
        reply = self.replies[todo[0]]
        checked(reply)
        raise ShowgroundError(
            "store_unavailable",
            f"no node of the cluster took it: {reply or 'nobody serves its slot'}",
            "redis",
        )

    async def _round(self, todo: Sequence[int]) -> list[int]:
        """Send those; returns which are to be sent again."""
        groups: dict[Node, list[int]] = {}
        homeless: list[int] = []
        for at in todo:
            node = self._asking.get(at) or self._topology.owner(self._slots[at])
            if node is None:
                homeless.append(at)
            else:
                groups.setdefault(node, []).append(at)
        if homeless:
            self._topology.suspect()
        sent = [self._send(node, group) for node, group in groups.items()]
        if homeless:
            sent.append(self._wait(homeless))
        if len(sent) == 1:
            return await sent[0]
        again: list[int] = []
        errors: list[BaseException] = []
        for result in await asyncio.gather(*sent, return_exceptions=True):
            if isinstance(result, BaseException):
                errors.append(result)
            else:
                again += result
        if errors:
            raise errors[0]
        return sorted(again)

    async def _wait(self, homeless: list[int]) -> list[int]:
        await self._topology.change(max(0.0, self._expires - self._loop.time()))
        return homeless

    async def _send(self, node: Node, group: list[int]) -> list[int]:
        commands: list[Sequence[Arg]] = []
        for at in group:
            if self._asking.pop(at, None) is not None:
                commands.append(("ASKING",))
            commands.append(self._commands[at])
        try:
            wire = await node.connection.wire(max(0.0, self._expires - self._loop.time()))
        except ShowgroundError as error:
            if node.connection.closed and error.code == "store_unavailable":
                return group  # never sent, and another node has its slots now
            raise
        try:
            replies = await wire.send(commands)
        except ShowgroundError:
            self._topology.suspect()
            raise
        answers = (reply for command, reply in zip(commands, replies, strict=True) if command[0] != "ASKING")
        again = []
        for at, reply in zip(group, answers, strict=True):
            self.replies[at] = reply
            if isinstance(reply, CommandRefused) and self._redirected(at, str(reply), node):
                again.append(at)
        return again

    def _redirected(self, at: int, text: str, node: Node) -> bool:
        if text.startswith(LATER):
            self._late.add(at)
            self._topology.suspect()
            return True
        redirection = Redirection.read(text, node.address)
        if redirection is None:
            return False
        if redirection.is_ask and command_name(self._commands[at]) in SCRIPTED:
            self._late.add(at)
            self._topology.suspect()
        elif redirection.is_ask:
            self._asking[at] = self._topology.node(redirection.address)
        else:
            self._topology.moved(redirection)
        return True
