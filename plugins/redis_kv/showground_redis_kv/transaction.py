"""WATCH, MULTI and EXEC for apps: what both providers share, and the one on Redis."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from contextlib import AsyncExitStack

from showground.capabilities import Argument, KeyValueReply
from showground.errors import ShowgroundError
from showground.redis.api import CommandRefused, Reply, Transaction
from showground_redis_kv.commands import check_size, invalid
from showground_redis_kv.quota import WRITE, over_quota, write_arguments
from showground_redis_kv.scope import Prepared, Scope, refused

TIMEOUT_S = 5.0
MAX_OPEN = 20
"""Transactions at once per scope (the Redis page of Devvit), on each host."""


class Queue:
    """The state of one transaction: commands after MULTI are kept here and sent together by EXEC.

    So the quota is checked once for all of them, and a refused transaction has written nothing.
    """

    def __init__(self, scope: Scope) -> None:
        self.scope = scope
        self._queued: list[Prepared] | None = None
        self._spoilt = False
        self._over = ""
        self._lock = asyncio.Lock()

    async def execute(self, command: Sequence[Argument]) -> KeyValueReply:
        async with self._lock:
            self._check_open()
            name = str(command[0]).upper() if command else ""
            if name in ("WATCH", "UNWATCH"):
                if self._queued is not None:
                    raise invalid(f"{name} is not allowed after MULTI")
                await self._watch([] if name == "UNWATCH" else [str(key) for key in command[1:]])
                return "OK"
            if name == "MULTI":
                if self._queued is not None:
                    raise invalid("MULTI calls can not be nested")
                self._queued = []
                return "OK"
            if name == "DISCARD":
                if self._queued is None:
                    raise invalid("DISCARD without MULTI")
                await self._finish("it was discarded")
                return "OK"
            try:
                prepared = self.scope.prepare(command)
                check_size([p.words for p in (*(self._queued or ()), prepared)])
            except ShowgroundError:
                self._spoilt = self._queued is not None
                raise
            if self._queued is None:
                return await self._now(prepared)
            self._queued.append(prepared)
            return "QUEUED"

    async def exec(self) -> list[KeyValueReply] | None:
        async with self._lock:
            self._check_open()
            if self._queued is None:
                raise invalid("EXEC without MULTI")
            queued = self._queued
            try:
                if self._spoilt:
                    raise invalid("the transaction was discarded because a command in it was refused")
                return await self._all(queued)
            finally:
                await self._finish("it was executed")

    async def close(self) -> None:
        async with self._lock:
            if not self._over:
                await self._finish("it was closed")

    async def expire(self) -> None:
        """End the transaction because its time is up."""
        async with self._lock:
            if not self._over:
                await self._finish(f"it was ended after {TIMEOUT_S:g} s")

    def _check_open(self) -> None:
        if self._over:
            raise ShowgroundError(
                "conflict", f"the transaction is over: {self._over}", "redis", "Begin again with watch()."
            )

    async def _finish(self, reason: str) -> None:
        self._over = reason
        await self._release()

    # What a provider does:

    async def _watch(self, names: Sequence[str]) -> None:
        """Watch *names* too; none: watch nothing any more."""
        raise NotImplementedError

    async def _now(self, prepared: Prepared) -> KeyValueReply:
        raise NotImplementedError

    async def _all(self, queued: Sequence[Prepared]) -> list[KeyValueReply] | None:
        raise NotImplementedError

    async def _release(self) -> None:
        raise NotImplementedError


def outcome(scope: Scope, queued: Sequence[Prepared], replies: Sequence[Reply]) -> list[KeyValueReply]:
    """The replies as the app sees them; raises the first error, as Redis has done the others all the same."""
    for number, reply in enumerate(replies, 1):
        if isinstance(reply, CommandRefused):
            error = refused(str(reply))
            error.message = f"command {number} of the transaction: {error.message} (the other commands were done)"
            raise error
    return [scope.reply(p.command, reply) for p, reply in zip(queued, replies, strict=True)]


class RedisTransaction(Queue):
    """On a connection of its own. Implements `showground.capabilities.KeyValueTransaction`."""

    def __init__(
        self, scope: Scope, quota: int, connection: Transaction, stack: AsyncExitStack, done: Callable[[], None]
    ) -> None:
        super().__init__(scope)
        self._quota = quota
        self._connection = connection
        self._stack = stack
        self._done = done

    async def _call(self, *command: bytes | str | int | float) -> Reply:
        try:
            return await self._connection.call(*command)
        except CommandRefused as error:
            raise self._error(error) from None

    def _error(self, error: CommandRefused) -> ShowgroundError:
        if str(error).startswith("QUOTA"):
            return over_quota(self.scope, self._quota)
        return refused(str(error))

    async def _watch(self, names: Sequence[str]) -> None:
        if names:
            await self._call("WATCH", *(self.scope.prefix + name.encode() for name in names))
        else:
            await self._call("UNWATCH")

    async def _now(self, prepared: Prepared) -> KeyValueReply:
        if not prepared.command.writes:
            return self.scope.reply(prepared.command, await self._call(*prepared.words))
        replies = await self._call("EVAL", WRITE.source, *write_arguments(self.scope, self._quota, [prepared]))
        return outcome(self.scope, [prepared], replies)[0]

    async def _all(self, queued: Sequence[Prepared]) -> list[KeyValueReply] | None:
        await self._call("MULTI")
        if queued:
            await self._call("EVAL", WRITE.source, *write_arguments(self.scope, self._quota, queued))
        answers = await self._call("EXEC")
        if answers is None:
            return None
        if not queued:
            return []
        if isinstance(answers[0], CommandRefused):
            raise self._error(answers[0])
        return outcome(self.scope, queued, answers[0])

    async def _release(self) -> None:
        self._done()
        await self._stack.aclose()
