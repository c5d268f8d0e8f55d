"""`showground.redis.api.Redis` on one server: standalone, embedded, or the one that Sentinel names."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager

from showground.redis.address import Address
from showground.redis.api import Arg, CommandRefused, Redis, Reply, Script, Subscriber, Transaction
from showground.redis.connection import Connection, checked
from showground.redis.pubsub import PubSub
from showground.redis.transactions import Lender
from showground.redis.wire import Wire, let_transports_close, open_wire
from showground.tasks import Tasks


class SingleRedis:
    """Talks to the server that *locate* names; asks again after each lost connection, so a failover is followed.

    Commands of everybody share one connection: blocking ones (`BLPOP`, `XREAD BLOCK`) would hold up all, so use none.
    """

    def __init__(self, locate: Callable[[], Awaitable[Address]], deadline_s: float, tasks: Tasks, name: str) -> None:
        self._locate = locate
        self._deadline_s = deadline_s
        self._tasks = tasks
        self._lender = Lender(self.open_wire, deadline_s)
        self._connection = Connection(self.open_wire, deadline_s, tasks, name)
        self._connection.on_lost = self._lender.forget

    async def open_wire(self) -> Wire:
        return await open_wire(await self._locate(), self._deadline_s)

    async def open(self) -> None:
        await self._connection.open()

    def close(self) -> None:
        self._connection.close()
        self._lender.close()

    async def call(self, *command: Arg) -> Reply:
        reply = (await self._connection.send((command,)))[0]
        if isinstance(reply, CommandRefused):
            raise checked(reply)
        return reply

    async def pipeline(self, commands: Sequence[Sequence[Arg]]) -> list[Reply]:
        if not commands:
            return []
        replies = await self._connection.send(commands)
        for reply in replies:
            checked(reply)
        return replies

    async def run(self, script: Script, keys: Sequence[str], args: Sequence[Arg] = ()) -> Reply:
        try:
            return await self.call("EVALSHA", script.sha, len(keys), *keys, *args)
        except CommandRefused as refused:
            if not str(refused).startswith("NOSCRIPT"):
                raise
        return await self.call("EVAL", script.source, len(keys), *keys, *args)

    def transaction(self, key: str) -> AbstractAsyncContextManager[Transaction]:
        return self._lender.lend()

    @asynccontextmanager
    async def subscriber(
        self,
        on_message: Callable[[str, bytes], None],
        on_reset: Callable[[Sequence[str]], None] | None = None,
    ) -> AsyncIterator[Subscriber]:
        async with Tasks() as tasks:
            pubsub = PubSub(self.open_wire, on_message, on_reset, self._deadline_s, tasks)
            try:
                await pubsub.open()
                yield pubsub
            finally:
                pubsub.close()
                await let_transports_close()

    async def publish(self, channel: str, payload: bytes) -> None:
        await self.call("PUBLISH", channel, payload)

    @property
    def publish_command(self) -> str:
        return "PUBLISH"

    async def scan(self, pattern: str, count: int = 500) -> AsyncIterator[bytes]:
        cursor: bytes = b"0"
        while True:
            cursor, found = await self.call("SCAN", cursor, "MATCH", pattern, "COUNT", count)
            for key in found:
                yield key
            if cursor == b"0":
                return

    async def ping(self) -> float:
        loop = asyncio.get_running_loop()
        start = loop.time()
        await self.call("PING")
        return loop.time() - start


@asynccontextmanager
async def open_single(locate: Callable[[], Awaitable[Address]], deadline_s: float, name: str) -> AsyncIterator[Redis]:
    """Open a client; raises `store_unavailable` or `misconfigured` when the first connection does not come about."""
    async with Tasks() as tasks:
        client = SingleRedis(locate, deadline_s, tasks, name)
        try:
            await client.open()
            yield client
        finally:
            client.close()
            await let_transports_close()
