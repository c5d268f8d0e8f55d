"""What the rest of the project may ask of Redis. One implementation speaks to a server; nothing else opens a connection."""

from __future__ import annotations

import hashlib
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass, field
from typing import Any, Protocol

from showground.soon import OnEnd

Arg = bytes | str | int | float
Reply = Any
"""What hiredis gives: bytes, int, None, float, or lists of these. Text is never decoded here."""


@dataclass(frozen=True, slots=True)
class Script:
    """A Lua script, sent once by text and then by digest. Give every key it touches in `keys`: all of one slot."""

    source: str
    sha: str = field(init=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "sha", hashlib.sha1(self.source.encode(), usedforsecurity=False).hexdigest())


_TEMPORARY = (
    "LOADING", "READONLY", "MASTERDOWN", "CLUSTERDOWN", "TRYAGAIN", "BUSY ", "NOREPLICAS", "MISCONF", "OOM",
    "FAILOVER", "UNBLOCKED",
)  # fmt: skip


class CommandRefused(Exception):
    """Redis answered with an error (`WRONGTYPE …`, `NOSCRIPT …`); the text is Redis' own."""

    @property
    def is_temporary(self) -> bool:
        """Whether it speaks of the server's state and not of the command. `call`, `pipeline`, `run` and transactions raise
        `store_unavailable` for such a reply; one that a script caught with `redis.pcall` is found inside the script's answer.
        """
        return str(self).startswith(_TEMPORARY)


class Transaction(Protocol):
    """A connection of its own for WATCH / MULTI / EXEC, because WATCH on a shared connection protects nobody."""

    async def call(self, *command: Arg) -> Reply: ...


class Subscriber(Protocol):
    """A subscription to Pub/Sub channels; survives reconnects by itself."""

    async def subscribe(self, *channels: str) -> None:
        """Return once Redis has confirmed. All channels of one call are of one slot in cluster mode."""
        ...

    async def unsubscribe(self, *channels: str) -> None: ...


class Redis(Protocol):
    """One Redis deployment: embedded, standalone, Sentinel or Cluster.

    Every call has the deployment's deadline (5 s unless told otherwise). When Redis is away or late, `ShowgroundError`
    `store_unavailable` is raised: a write may or may not have happened, so callers that retry make their writes idempotent.
    """

    async def call(self, *command: Arg) -> Reply:
        """Send one command. Commands of one event-loop turn travel in one write. Raises `CommandRefused`."""
        ...

    async def pipeline(self, commands: Sequence[Sequence[Arg]]) -> list[Reply]:
        """Send several commands in order, not atomically. An error reply stands in the list as a `CommandRefused`."""
        ...

    def ask(self, command: Sequence[Arg], on_end: OnEnd) -> bool:
        """`call` without a task, where it can be sent at once, to a server that is there; False, and nothing was sent, where it
        can't. *on_end* is told the reply; refusals are told as `CommandRefused`, or `store_unavailable`.
        """
        ...

    async def run(self, script: Script, keys: Sequence[str], args: Sequence[Arg] = ()) -> Reply:
        """Run a script atomically on the slot of its keys. Raises `CommandRefused`."""
        ...

    def transaction(self, key: str) -> AbstractAsyncContextManager[Transaction]:
        """Lend a connection to the node of *key*; on leaving, unfinished transactions are discarded."""
        ...

    def subscriber(
        self,
        on_message: Callable[[str, bytes], None],
        on_reset: Callable[[Sequence[str]], None] | None = None,
    ) -> AbstractAsyncContextManager[Subscriber]:
        """Open a Pub/Sub subscriber. *on_message* gets (channel, payload) in order, on the loop, and must not block.

        *on_reset* gets the channels whose connection was lost and has been subscribed again: messages may be missing.
        """
        ...

    async def publish(self, channel: str, payload: bytes) -> None:
        """Publish to now-subscribed listeners (`SPUBLISH` in cluster mode, so that scripts and subscribers agree)."""
        ...

    @property
    def publish_command(self) -> str:
        """`PUBLISH`, or `SPUBLISH` in cluster mode; for use within scripts."""
        ...

    def scan(self, pattern: str, count: int = 500) -> AsyncIterator[bytes]:
        """Every key that matches *pattern*, on every node, in no order; keys written meanwhile may be missed."""
        ...

    async def ping(self) -> float:
        """Seconds for one round trip."""
        ...
