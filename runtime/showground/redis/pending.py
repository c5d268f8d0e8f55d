"""What waits on a connection for its replies, and for replicas to have it where that was asked for."""

from __future__ import annotations

import asyncio
import logging
from abc import ABC, abstractmethod
from collections.abc import Sequence

from showground.errors import ShowgroundError
from showground.redis.api import Arg, CommandRefused, Reply
from showground.redis.routing import command_name
from showground.soon import OnEnd

log = logging.getLogger("showground.redis")

NO_WRITES = frozenset(
    (
        "ASKING", "AUTH", "CLUSTER", "CONFIG", "DBSIZE", "DISCARD", "ECHO", "EXISTS", "GET", "HGET", "HGETALL", "HLEN", "HMGET",
        "INFO", "LLEN", "LRANGE", "MEMORY", "MGET", "MULTI", "PING", "PTTL", "PUBLISH", "ROLE", "SCAN", "SCARD", "SCRIPT",
        "SELECT", "SMEMBERS", "SPUBLISH", "STRLEN", "TIME", "TTL", "TYPE", "UNWATCH", "WAIT", "WATCH", "XLEN", "XRANGE",
        "XREVRANGE", "ZCARD", "ZRANGE", "ZSCORE",
    )
)  # fmt: skip
"""Commands that need no replica. All others may write; one that does not only waits longer than it must."""


class Pending(ABC):
    """A run of commands whose replies belong together."""

    __slots__ = ("awaits_replicas", "expects", "expires", "replies", "size")

    def __init__(self, expects: int, expires: float, size: int) -> None:
        self.expects = expects
        self.expires = expires
        self.size = size
        self.replies: list[Reply] = []
        self.awaits_replicas = False
        """Its replies are not given out before a `Confirmation` says that they may be."""

    @abstractmethod
    def succeed(self) -> None:
        """Give out the replies, of which there are as many as it expects."""

    @abstractmethod
    def fail(self, error: ShowgroundError) -> None:
        """Tell that there are none. Does nothing once either was told."""


class Awaited(Pending):
    """What a task waits for."""

    __slots__ = ("future",)

    def __init__(self, future: asyncio.Future[list[Reply]], expects: int, expires: float, size: int) -> None:
        super().__init__(expects, expires, size)
        self.future = future

    def succeed(self) -> None:
        if not self.future.done():
            self.future.set_result(self.replies)

    def fail(self, error: ShowgroundError) -> None:
        if not self.future.done():
            self.future.set_exception(error)


class Asked(Pending):
    """Commands of several who are each told their reply at once."""

    __slots__ = ("_on_ends",)

    def __init__(self, on_ends: Sequence[OnEnd], expires: float, size: int) -> None:
        super().__init__(len(on_ends), expires, size)
        self._on_ends = on_ends

    def succeed(self) -> None:
        on_ends, self._on_ends = self._on_ends, ()
        for on_end, reply in zip(on_ends, self.replies, strict=False):  # there are none once it has failed
            if isinstance(reply, CommandRefused):
                _tell(on_end, None, unavailable_now(reply) if reply.is_temporary else reply)
            else:
                _tell(on_end, reply, None)

    def fail(self, error: ShowgroundError) -> None:
        on_ends, self._on_ends = self._on_ends, ()
        for on_end in on_ends:
            _tell(on_end, None, error)


def _tell(on_end: OnEnd, reply: Reply, error: Exception | None) -> None:
    try:
        on_end(reply, error)
    except Exception:  # those who asked behind are not the worse for it
        log.exception("the reply to a command was not taken")


def unavailable_now(refused: CommandRefused) -> ShowgroundError:
    """What a refusal means that speaks of the server's state."""
    return ShowgroundError("store_unavailable", f"Redis cannot do it now: {refused}", "redis")


class Confirmation(Pending):
    """`WAIT`: the writes before it on this connection are on so many replicas, or it was not known in time."""

    __slots__ = ("_replicas", "_writes")

    def __init__(self, writes: Sequence[Pending], replicas: int, expires: float) -> None:
        super().__init__(1, expires, 0)
        self._writes = writes
        self._replicas = replicas

    def succeed(self) -> None:
        count = self.replies[0]
        if isinstance(count, int) and count >= self._replicas:
            for write in self._writes:
                write.succeed()
            return
        for write in self._writes:
            if all(isinstance(reply, CommandRefused) for reply in write.replies):
                write.succeed()  # nothing was done, so there is nothing for a replica to have
            else:
                write.fail(
                    ShowgroundError(
                        "store_unavailable",
                        f"{count} replicas of Redis had a write in time, and {self._replicas} are asked for",
                        "redis",
                        "It may have happened. Look after the replicas.",
                    )
                )

    @property
    def is_vain(self) -> bool:
        """Whether the server itself refused every write for want of replicas (`min-replicas-to-write`)."""
        replies = [reply for write in self._writes for reply in write.replies]
        return all(isinstance(reply, CommandRefused) and str(reply).startswith("NOREPLICAS") for reply in replies)

    def fail(self, error: ShowgroundError) -> None:
        for write in self._writes:
            write.fail(error)


class WriteWatch:
    """Tells which commands of a connection may write, and so need a `Confirmation`."""

    def __init__(self) -> None:
        self._queueing = False
        """Between MULTI and EXEC nothing is done yet, and WAIT would be queued too."""

    def sees_write(self, commands: Sequence[Sequence[Arg]]) -> bool:
        found = False
        for command in commands:
            name = command_name(command)
            if name == "MULTI":
                self._queueing = True
            elif name in ("EXEC", "DISCARD"):
                self._queueing = False
            found = found or (not self._queueing and name not in NO_WRITES)
        return found
