"""`context.redis`, as an app sees it: Redis over the installation's own keys.

Calls that are made in one turn of the event loop (`asyncio.gather`) travel together, in order, as one call to the host.
"""

from __future__ import annotations

import asyncio
import functools
from collections.abc import Callable, Generator, Mapping
from types import TracebackType
from typing import Any, TypeVar

from showground.context.call import Call
from showground.context.redis_collections import AllCommands
from showground.context.redis_commands import Value
from showground.errors import ShowgroundError
from showground.tasks import Tasks

T = TypeVar("T")
Asked = tuple[tuple[Value, ...], "asyncio.Future[Any]"]


class Redis(AllCommands):
    """The keys of one installation; `global_` has those that the app shares over all communities."""

    def __init__(self, call: Call, *, shared: bool = False) -> None:
        self._call = call
        self._shared = shared
        self._tasks = Tasks()
        self._waiting: list[Asked] | None = None
        """Those who go with the one that called first in this turn; None while nobody has."""

    @functools.cached_property
    def global_(self) -> Redis:
        """The app's keys over all communities: the same methods, another quota."""
        return Redis(self._call, shared=True)

    def watch(self, *names: str) -> Watching:
        """Begin a transaction that fails (`exec()` gives None) when one of *names* is changed by anybody before it is executed.

        ```
        async with context.redis.watch("seats") as tx:
            left = int(await tx.get("seats") or 0)
            tx.multi()
            await tx.set("seats", left - 1)
            if await tx.exec() is None:
                ...  # somebody was faster
        ```
        `tx = await context.redis.watch(…)` works too. It ends by itself after 5 s; at most 20 at once (`quota_exceeded`).
        """
        return Watching(self._call, names, self._shared)

    async def _run(self, convert: Callable[[Any], T], *words: Value) -> T:
        if self._waiting is not None:
            future: asyncio.Future[Any] = asyncio.get_running_loop().create_future()
            self._waiting.append((words, future))
            return convert(await future)
        # Whoever calls in this turn goes with it. Who stays alone needs no task and no future: most do.
        self._waiting = []
        try:
            await asyncio.sleep(0)
        except asyncio.CancelledError:
            self._send_others()
            raise
        others, self._waiting = self._waiting, None
        if others:
            first: asyncio.Future[Any] = asyncio.get_running_loop().create_future()
            self._tasks.start("context.redis", self._send([(words, first), *others]))
            return convert(await first)
        return convert(await self._call("redis", "command", words, self._shared))

    def _send_others(self) -> None:
        """The one whom they wanted to go with was cancelled."""
        others, self._waiting = self._waiting, None
        if others:
            self._tasks.start("context.redis", self._send(others))

    async def _send(self, waiting: list[Asked]) -> None:
        try:
            results = await self._execute([list(words) for words, _ in waiting])
        except Exception as error:
            for _, future in waiting:
                if not future.done():
                    future.set_exception(_copy(error))
            return
        for (_, future), result in zip(waiting, results, strict=True):
            if future.done():
                continue
            if isinstance(result, Mapping):
                future.set_exception(ShowgroundError.from_json(result))
            else:
                future.set_result(result)

    async def _execute(self, commands: list[list[Value]]) -> list[Any]:
        results = await self._call("redis", "execute", commands, self._shared)
        if not isinstance(results, list) or len(results) != len(commands):
            raise ShowgroundError("internal", "the host answered another number of commands", "redis")
        return results


def _copy(error: Exception) -> Exception:
    """An exception of its own for each waiter, as each adds its own traceback."""
    if isinstance(error, ShowgroundError):
        return ShowgroundError.from_json(error.to_json())
    return error


class Transaction(AllCommands):
    """A transaction: reads before `multi()` give their values at once, commands after it are queued until `exec()`."""

    def __init__(self, call: Call, number: int) -> None:
        self._call = call
        self._number = number
        self._queued: list[Callable[[Any], Any]] | None = None
        self._over = False

    def multi(self) -> Immediate:
        """Queue from here on. May be awaited or not."""
        if self._queued is not None:
            raise ShowgroundError("invalid", "multi() was called already", "redis")
        self._queued = []
        return Immediate()

    async def _run(self, convert: Callable[[Any], T], *words: Value) -> T:
        if self._queued is None:
            return convert(await self._call("redis", "transaction_execute", self._number, list(words)))
        if not self._queued:
            await self._call("redis", "transaction_execute", self._number, ["MULTI"])
        await self._call("redis", "transaction_execute", self._number, list(words))
        self._queued.append(convert)
        return self  # type: ignore[return-value]  # the reply comes with exec()

    async def watch(self, *names: str) -> None:
        """Watch more keys; before `multi()` only."""
        await self._call("redis", "transaction_execute", self._number, ["WATCH", *names])

    async def unwatch(self) -> None:
        """Watch nothing any more."""
        await self._call("redis", "transaction_execute", self._number, ["UNWATCH"])

    async def exec(self) -> list[Any] | None:
        """The replies of the queued commands in order; None when a watched key was changed: then nothing was done."""
        if self._queued is None:
            raise ShowgroundError("invalid", "exec() without multi()", "redis", "Call multi() first.")
        if not self._queued:
            await self._call("redis", "transaction_execute", self._number, ["MULTI"])
        self._over = True
        replies = await self._call("redis", "transaction_exec", self._number)
        if replies is None:
            return None
        return [convert(reply) for convert, reply in zip(self._queued, replies, strict=True)]

    async def discard(self) -> None:
        """Forget what was queued and end the transaction."""
        self._over = True
        await self._call("redis", "transaction_close", self._number)

    async def close(self) -> None:
        """End the transaction if it is not over. Idempotent."""
        if not self._over:
            await self.discard()


class Immediate:
    """Something done already, that may be awaited all the same."""

    def __await__(self) -> Generator[None, None, None]:
        return
        yield


class Watching:
    """What `watch()` returns: awaited it gives the transaction, with `async with` it also ends it."""

    def __init__(self, call: Call, names: tuple[str, ...], shared: bool) -> None:
        self._call = call
        self._names = names
        self._shared = shared
        self._transaction: Transaction | None = None

    async def _open(self) -> Transaction:
        return Transaction(self._call, await self._call("redis", "transaction_open", list(self._names), self._shared))

    def __await__(self) -> Generator[Any, None, Transaction]:
        return self._open().__await__()

    async def __aenter__(self) -> Transaction:
        self._transaction = await self._open()
        return self._transaction

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._transaction is not None:
            await self._transaction.close()
