"""The provider in memory: the same table, scopes and transactions as the one on Redis, over dictionaries."""

from __future__ import annotations

from collections import Counter
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import asynccontextmanager

from showground.capabilities import Argument, KeyValue, KeyValueReply, KeyValueTransaction
from showground.errors import ShowgroundError
from showground.hookspecs import Services
from showground.keys import KeySpace
from showground.model import Json
from showground.redis.api import CommandRefused, Reply
from showground.soon import OnEnd
from showground.tasks import Tasks
from showground_redis_kv import export
from showground_redis_kv.commands import check_size, growth
from showground_redis_kv.memory import hashes, lists, sets, sorted_sets, streams, strings
from showground_redis_kv.memory.database import TYPES, Database, Handler
from showground_redis_kv.quota import QUOTA_BYTES, over_quota
from showground_redis_kv.scope import Prepared, Scope, refused
from showground_redis_kv.transaction import MAX_OPEN, TIMEOUT_S, Queue, outcome

HANDLERS: Mapping[str, Handler] = {
    **strings.HANDLERS, **hashes.HANDLERS, **sorted_sets.HANDLERS, **sets.HANDLERS, **lists.HANDLERS, **streams.HANDLERS,
}  # fmt: skip


class Store:
    """A database with the quota of each scope. `run` is atomic, as nothing in it waits."""

    def __init__(self, database: Database, quota: int) -> None:
        self.database = database
        self.quota = quota

    def used(self, scope: Scope) -> int:
        return sum(self.database.weigh(name) for name in self.database.names(scope.prefix))

    def run(self, scope: Scope, commands: Sequence[Prepared]) -> list[Reply]:
        """Run *commands* together, error replies in their places; raises `quota_exceeded` with nothing done."""
        need = sum(growth(prepared.command, prepared.words) for prepared in commands)
        if any(prepared.command.growth == "copies" for prepared in commands):
            need += sum(self.database.weigh(key) for prepared in commands for key in prepared.keys)
        if need and self.used(scope) + need > self.quota:
            raise over_quota(scope, self.quota)
        return [self._one(prepared) for prepared in commands]

    def _one(self, prepared: Prepared) -> Reply:
        database = self.database
        existed = {key: database.find(key) is not None for key in prepared.keys}
        try:
            return HANDLERS[prepared.command.name](database, prepared.words[1:])
        except CommandRefused as error:
            return error
        finally:
            if prepared.command.writes:
                for key in prepared.keys:
                    database.touched(key, existed[key])


class MemoryTransaction(Queue):
    def __init__(self, scope: Scope, store: Store, done: Callable[[], None]) -> None:
        super().__init__(scope)
        self._store = store
        self._done = done
        self._watched: dict[bytes, int] = {}

    async def _watch(self, names: Sequence[str]) -> None:
        if not names:
            self._watched.clear()
        for key in (self.scope.prefix + name.encode() for name in names):
            self._store.database.find(key)
            self._watched.setdefault(key, self._store.database.versions[key])

    async def _now(self, prepared: Prepared) -> KeyValueReply:
        return outcome(self.scope, [prepared], self._store.run(self.scope, [prepared]))[0]

    async def _all(self, queued: Sequence[Prepared]) -> list[KeyValueReply] | None:
        database = self._store.database
        for key, version in self._watched.items():
            database.find(key)
            if database.versions[key] != version:
                return None
        return outcome(self.scope, queued, self._store.run(self.scope, queued))

    async def _release(self) -> None:
        self._done()


class MemoryKeyValue:
    """Implements `showground.capabilities.KeyValue`."""

    def __init__(self, services: Services, tasks: Tasks) -> None:
        self._keys: KeySpace = services.keys
        self._clock = services.clock
        self._tasks = tasks
        self._store = Store(Database(services.clock.now_ms), int(services.options.get("quota_bytes", QUOTA_BYTES)))
        self._open: Counter[str] = Counter()

    async def execute(self, scope: str, commands: Sequence[Sequence[Argument]]) -> list[KeyValueReply | Exception]:
        own = Scope.of(self._keys, scope)
        ready: list[Prepared | ShowgroundError] = []
        for words in commands:
            try:
                ready.append(own.prepare(words))
            except ShowgroundError as error:
                ready.append(error)
        check_size([prepared.words for prepared in ready if isinstance(prepared, Prepared)])
        return [item if isinstance(item, ShowgroundError) else self._result(own, item) for item in ready]

    def _result(self, own: Scope, prepared: Prepared) -> KeyValueReply | Exception:
        try:
            reply = self._store.run(own, [prepared])[0]
        except ShowgroundError as error:
            return error
        return refused(str(reply)) if isinstance(reply, CommandRefused) else own.reply(prepared.command, reply)

    def ask(self, scope: str, words: Sequence[Argument], on_end: OnEnd) -> bool:
        return False

    async def transaction(self, scope: str, watch: Sequence[str]) -> KeyValueTransaction:
        if self._open[scope] >= MAX_OPEN:
            raise ShowgroundError(
                "quota_exceeded", f"{scope} has {MAX_OPEN} transactions open already", "redis.watch",
                "Execute or discard one first.",
            )  # fmt: skip
        self._open[scope] += 1

        def done() -> None:
            self._open[scope] -= 1
            timer.cancel()

        async def end_late() -> None:
            await self._clock.sleep(TIMEOUT_S)
            await transaction.expire()

        transaction = MemoryTransaction(Scope.of(self._keys, scope), self._store, done)
        timer = self._tasks.start(f"transaction of {scope}", end_late())
        await transaction.execute(["WATCH", *watch])
        return transaction

    async def usage(self, scope: str) -> tuple[int, int]:
        return self._store.used(Scope.of(self._keys, scope)), self._store.quota

    async def export(self, scope: str) -> AsyncIterator[Mapping[str, Json]]:
        own = Scope.of(self._keys, scope)
        database = self._store.database
        for name in database.names(own.prefix):
            kind = TYPES[type(database.values[name])].decode()
            reader, *after = export.READERS[kind]
            value = HANDLERS[reader](database, [name, *(word.encode() for word in after)])
            yield export.record(name.removeprefix(own.prefix), kind, value, database.expires.get(name, -1))

    async def load(self, scope: str, record: Mapping[str, Json]) -> None:
        own = Scope.of(self._keys, scope)
        ready = [own.prepare(words) for words in export.commands(record)]
        for reply in self._store.run(own, ready):
            if isinstance(reply, CommandRefused):
                raise refused(str(reply))

    async def clear(self, scope: str) -> int:
        names = list(self._store.database.names(Scope.of(self._keys, scope).prefix))
        return sum(self._store.database.drop(name) for name in names)


@asynccontextmanager
async def open_memory(services: Services) -> AsyncIterator[KeyValue]:
    """Build the provider."""
    async with Tasks() as tasks:
        yield MemoryKeyValue(services, tasks)
