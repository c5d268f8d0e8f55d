"""`showground.redis.api.Redis` on one server: standalone, embedded, or the one that Sentinel names."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager

from showground.redis.address import Address, RedisUrl
from showground.redis.api import Arg, CommandRefused, Redis, Reply, Subscriber, Transaction
from showground.redis.commands import Commands
from showground.redis.connection import Connection, checked
from showground.redis.pubsub import PubSub
from showground.redis.sentinel import SWITCHED, Sentinels
from showground.redis.transactions import Lender
from showground.redis.wire import Wire, let_transports_close, open_wire
from showground.soon import OnEnd
from showground.tasks import Tasks


class SingleRedis(Commands):
    """Talks to the server that *open_one* connects to; which one that is may change with each connection.

    Commands of everybody share one connection: blocking ones (`BLPOP`, `XREAD BLOCK`) would hold up all, so use none.
    """

    def __init__(self, open_one: Callable[[], Awaitable[Wire]], deadline_s: float, tasks: Tasks, name: str) -> None:
        self._open_one = open_one
        self._deadline_s = deadline_s
        self._lender = Lender(open_one, deadline_s)
        self._connection = Connection(open_one, deadline_s, tasks, name)
        self._connection.on_lost = self._lender.forget
        self._subscribers: set[PubSub] = set()

    async def open(self) -> None:
        await self._connection.open()

    def close(self) -> None:
        self._connection.close()
        self._lender.close()

    def follow(self, leader: str) -> None:
        """Another server leads now: drop every connection for a new one, but those to *leader*, who were quicker."""
        self._connection.reset("another server leads now", leader)
        for subscriber in self._subscribers:
            subscriber.reset("another server leads now", leader)

    async def call(self, *command: Arg) -> Reply:
        reply = (await self._connection.send((command,)))[0]
        if isinstance(reply, CommandRefused):
            raise checked(reply)
        return reply

    def _send(self, commands: Sequence[Sequence[Arg]]) -> Awaitable[list[Reply]]:
        return self._connection.send(commands)

    def ask(self, command: Sequence[Arg], on_end: OnEnd) -> bool:
        return self._connection.ask(command, on_end)

    def transaction(self, key: str) -> AbstractAsyncContextManager[Transaction]:
        return self._lender.lend()

    @asynccontextmanager
    async def subscriber(
        self,
        on_message: Callable[[str, bytes], None],
        on_reset: Callable[[Sequence[str]], None] | None = None,
    ) -> AsyncIterator[Subscriber]:
        async with Tasks() as tasks:
            pubsub = PubSub(self._open_one, on_message, on_reset, self._deadline_s, tasks)
            self._subscribers.add(pubsub)
            try:
                await pubsub.open()
                yield pubsub
            finally:
                self._subscribers.discard(pubsub)
                pubsub.close()
                await let_transports_close()

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
async def open_single(address: Address, deadline_s: float) -> AsyncIterator[Redis]:
    """Open a client; raises `store_unavailable` or `misconfigured` when the first connection does not come about."""
    async with Tasks() as tasks:
        client = SingleRedis(lambda: open_wire(address, deadline_s), deadline_s, tasks, str(address))
        try:
            await client.open()
            yield client
        finally:
            client.close()
            await let_transports_close()


@asynccontextmanager
async def open_led(url: RedisUrl, deadline_s: float) -> AsyncIterator[Redis]:
    """Open a client on the server that the Sentinels of *url* name, now and after each failover; raises as `open_single`."""
    async with Tasks() as tasks:
        sentinels = Sentinels(url, deadline_s)
        client = SingleRedis(sentinels.open_master, deadline_s, tasks, f"{url.service} of Sentinel")
        watch = sentinels.watch(client.follow, tasks)
        try:
            await client.open()
            await watch.open()
            await watch.subscribe(SWITCHED)
            yield client
        finally:
            watch.close()
            client.close()
            await let_transports_close()
