"""The provider on Redis."""

from __future__ import annotations

import asyncio
import functools
from collections import Counter
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import AsyncExitStack, asynccontextmanager, suppress

from showground.capabilities import Argument, KeyValue, KeyValueReply, KeyValueTransaction
from showground.errors import ShowgroundError
from showground.hookspecs import Services
from showground.model import Json
from showground.redis.api import Arg, CommandRefused, Reply
from showground.soon import OnEnd
from showground.tasks import Tasks
from showground_redis_kv import export
from showground_redis_kv.commands import REQUEST_BYTES, check_size
from showground_redis_kv.quota import CORRECT, QUOTA_BYTES, WRITE, over_quota, write_arguments
from showground_redis_kv.scope import Prepared, Scope, refused, text
from showground_redis_kv.transaction import MAX_OPEN, TIMEOUT_S, RedisTransaction

RECOUNT_EVERY_S = 10.0
"""A scope at its quota is counted afresh at most this often on each host."""
SHORT_KEY = 1024
"""A command of nothing more need not be weighed."""
_AT_ONCE = 200


class RedisKeyValue:
    """Implements `showground.capabilities.KeyValue`. Reads go to Redis as they are, writes through the quota's script."""

    def __init__(self, services: Services, tasks: Tasks) -> None:
        self._redis = services.redis
        self._clock = services.clock
        self._tasks = tasks
        self._quota = int(services.options.get("quota_bytes", QUOTA_BYTES))
        self._scope = functools.lru_cache(maxsize=1024)(functools.partial(Scope.of, services.keys))
        self._open: Counter[str] = Counter()
        self._recounted: dict[str, float] = {}

    async def execute(self, scope: str, commands: Sequence[Sequence[Argument]]) -> list[KeyValueReply | Exception]:
        own = self._scope(scope)
        if len(commands) == 1:
            return [await self._execute_one(own, commands[0])]
        try:
            every = [own.prepare(words) for words in commands]
        except ShowgroundError:
            return await self._execute_some(own, commands)
        check_size([prepared.words for prepared in every])
        replies = await self._send(own, every)
        return [self._result(own, prepared, reply) for prepared, reply in zip(every, replies, strict=True)]

    def ask(self, scope: str, words: Sequence[Argument], on_end: OnEnd) -> bool:
        own = self._scope(scope)
        try:
            prepared = own.prepare_read(words)
        except ShowgroundError:
            return False
        if prepared is None:
            return False
        if (len(prepared) > 2 or len(prepared[1]) > SHORT_KEY) and sum(map(len, prepared)) > REQUEST_BYTES:
            return False

        def ended(reply: Reply, error: Exception | None) -> None:
            if error is None:
                on_end(text(reply), None)
            else:
                on_end(None, refused(str(error)) if isinstance(error, CommandRefused) else error)

        return self._redis.ask(prepared, ended)

    async def _execute_one(self, own: Scope, words: Sequence[Argument]) -> KeyValueReply | Exception:
        try:
            prepared = own.prepare(words)
        except ShowgroundError as error:
            return error
        if sum(map(len, prepared.words)) > REQUEST_BYTES:
            check_size((prepared.words,))
        if prepared.command.writes:
            (reply,) = await self._send(own, (prepared,))
        else:
            (reply,) = await self._redis.pipeline((prepared.words,))
        return self._result(own, prepared, reply)

    async def _execute_some(
        self, own: Scope, commands: Sequence[Sequence[Argument]]
    ) -> list[KeyValueReply | Exception]:
        """Run those that can be run; in the place of each other one stands what is wrong with it."""
        results: list[KeyValueReply | Exception] = [None] * len(commands)
        ready: dict[int, Prepared] = {}
        for at, words in enumerate(commands):
            try:
                ready[at] = own.prepare(words)
            except ShowgroundError as error:
                results[at] = error
        check_size([prepared.words for prepared in ready.values()])
        replies = await self._send(own, list(ready.values()))
        for (at, prepared), reply in zip(ready.items(), replies, strict=True):
            results[at] = self._result(own, prepared, reply)
        return results

    def _result(self, own: Scope, prepared: Prepared, reply: Reply) -> KeyValueReply | Exception:
        if isinstance(reply, CommandRefused):
            return over_quota(own, self._quota) if str(reply).startswith("QUOTA") else refused(str(reply))
        return own.reply(prepared.command, reply)

    async def _send(self, own: Scope, ready: Sequence[Prepared]) -> list[Reply]:
        """Run them in one round trip. Writes that found no script, or no room that a recount can make, are sent once more
        with what follows them, unless a write that follows was done already: their order would change."""
        replies = await self._pipeline(own, ready)
        if CommandRefused not in map(type, replies):
            return replies
        for reason in ("NOSCRIPT", "QUOTA"):
            at = next((n for n, reply in enumerate(replies) if _is(reply, reason)), None)
            if at is None:
                continue
            tail = ready[at:]
            if any(p.command.writes and not _is(r, reason) for p, r in zip(tail, replies[at:], strict=True)):
                continue
            if reason == "NOSCRIPT":
                await self._redis.call("SCRIPT", "LOAD", WRITE.source)
            elif not await self._recount_if_due(own):
                continue
            replies[at:] = await self._pipeline(own, tail)
        return replies

    async def _pipeline(self, own: Scope, ready: Sequence[Prepared]) -> list[Reply]:
        sent: list[Sequence[Arg]] = [
            ("EVALSHA", WRITE.sha, *write_arguments(own, self._quota, [p])) if p.command.writes else p.words
            for p in ready
        ]
        replies = await self._redis.pipeline(sent)
        return [
            reply[0] if p.command.writes and isinstance(reply, list) else reply
            for p, reply in zip(ready, replies, strict=True)
        ]

    async def _recount_if_due(self, own: Scope) -> bool:
        now = self._clock.monotonic()
        if now - self._recounted.get(own.name, -RECOUNT_EVERY_S) < RECOUNT_EVERY_S:
            return False
        self._recounted = {name: at for name, at in self._recounted.items() if now - at < RECOUNT_EVERY_S}
        self._recounted[own.name] = now
        await self.recount(own.name)
        return True

    async def recount(self, scope: str) -> int:
        """Count the scope's bytes afresh, so that keys that expired no longer count; returns them."""
        own = self._scope(scope)
        before = int(await self._redis.call("GET", own.counter) or 0)
        counted = 0
        async for names in self._batches(own):
            weights = await self._redis.pipeline([("MEMORY", "USAGE", name) for name in names])
            counted += sum(weight for weight in weights if isinstance(weight, int))
        return int(await self._redis.run(CORRECT, [own.counter], [before, counted]))

    async def transaction(self, scope: str, watch: Sequence[str]) -> KeyValueTransaction:
        if self._open[scope] >= MAX_OPEN:
            raise ShowgroundError(
                "quota_exceeded",
                f"{scope} has {MAX_OPEN} transactions open already",
                "redis.watch",
                "Execute or discard one first.",
            )
        self._open[scope] += 1
        own = self._scope(scope)
        stack = AsyncExitStack()

        def done() -> None:
            self._open[scope] -= 1
            if not self._open[scope]:
                del self._open[scope]

        try:
            connection = await stack.enter_async_context(self._redis.transaction(own.counter))
        except BaseException:
            done()
            raise
        transaction = RedisTransaction(own, self._quota, connection, stack, done)
        timer = self._tasks.start(f"transaction of {scope}", self._end_late(transaction))
        # A timer that ends the transaction must not cancel itself while it does.
        stack.callback(lambda: timer is asyncio.current_task() or timer.cancel())
        try:
            if watch:
                await transaction.execute(["WATCH", *watch])
        except BaseException:
            await transaction.close()
            raise
        return transaction

    async def _end_late(self, transaction: RedisTransaction) -> None:
        await self._clock.sleep(TIMEOUT_S)
        with suppress(ShowgroundError):  # where Redis is away, its transaction is over, too
            await transaction.expire()

    async def usage(self, scope: str) -> tuple[int, int]:
        used = await self._redis.call("GET", self._scope(scope).counter)
        return int(used or 0), self._quota

    async def _batches(self, own: Scope) -> AsyncIterator[Sequence[bytes]]:
        names: dict[bytes, None] = {}
        async for name in self._redis.scan(own.pattern):
            names[name] = None
            if len(names) >= _AT_ONCE:
                yield list(names)
                names.clear()
        if names:
            yield list(names)

    async def export(self, scope: str) -> AsyncIterator[Mapping[str, Json]]:
        own = self._scope(scope)
        async for names in self._batches(own):
            kinds = await self._redis.pipeline([("TYPE", name) for name in names])
            known = [(n, k.decode()) for n, k in zip(names, kinds, strict=True) if k.decode() in export.READERS]
            for name, kind in known:
                reader, *after = export.READERS[kind]
                value, expires = await self._redis.pipeline([(reader, name, *after), ("PEXPIRETIME", name)])
                if not isinstance(value, CommandRefused) and value is not None and expires != -2:
                    yield export.record(name.removeprefix(own.prefix), kind, value, expires)

    async def load(self, scope: str, record: Mapping[str, Json]) -> None:
        own = self._scope(scope)
        ready = [own.prepare([str(words[0]), *words[1:]]) for words in export.commands(record)]
        try:
            keys_and_arguments = write_arguments(own, self._quota, ready)
            replies = await self._redis.call("EVAL", WRITE.source, *keys_and_arguments)
        except CommandRefused as error:
            raise (over_quota(own, self._quota) if _is(error, "QUOTA") else refused(str(error))) from None
        for reply in replies:
            if isinstance(reply, CommandRefused):
                raise refused(str(reply))

    async def clear(self, scope: str) -> int:
        own = self._scope(scope)
        removed = 0
        async for names in self._batches(own):
            removed += int(await self._redis.call("UNLINK", *names))
        await self._redis.call("DEL", own.counter)
        return removed


def _is(reply: Reply, reason: str) -> bool:
    return isinstance(reply, CommandRefused) and str(reply).startswith(reason)


@asynccontextmanager
async def open_redis(services: Services) -> AsyncIterator[KeyValue]:
    """Build the provider."""
    async with Tasks() as tasks:
        await services.redis.call("SCRIPT", "LOAD", WRITE.source)
        yield RedisKeyValue(services, tasks)
