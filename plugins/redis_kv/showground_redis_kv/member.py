"""The methods of `context.redis` as they travel over the worker protocol.

* `command(words, global)` → its result.
* `execute(commands, global)` → one result for each command, in order; an error stands in its place as `{"error": {…}}`.
* `transaction_open(keys, global)` → an id; `transaction_execute(id, command)`; `transaction_exec(id)` → replies or nil;
  `transaction_close(id)`.

A command is a list: its name, then text, bytes or numbers. Other replies are never maps, so an error cannot be mistaken.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from showground.capabilities import Argument, KeyValue, KeyValueReply, KeyValueTransaction
from showground.errors import ShowgroundError
from showground.hookspecs import Method
from showground.model import Invocation
from showground.soon import OnEnd, Quick
from showground_redis_kv.commands import invalid

MAX_COMMANDS = 10_000
"""Commands of one `execute`."""


class Member:
    """`context.redis` of one invocation. Its transactions have ids that mean nothing to another invocation."""

    __slots__ = ("_app", "_last", "_own", "_provider", "_transactions")

    def __init__(self, invocation: Invocation, provider: KeyValue) -> None:
        self._own: str = invocation.installation
        self._app = invocation.app
        self._provider = provider
        self._transactions: dict[int, KeyValueTransaction] = {}
        self._last = 0

    @property
    def methods(self) -> Mapping[str, Method]:
        return {
            "command": Quick(self.command, self.ask),
            "execute": self.execute,
            "transaction_open": self.open,
            "transaction_execute": self.transaction_execute,
            "transaction_exec": self.exec,
            "transaction_close": self.close,
        }

    def _scope(self, shared: object) -> str:
        return f"{self._app}:*" if shared else self._own

    async def command(self, words: Sequence[Argument], shared: bool = False) -> KeyValueReply:
        if not isinstance(words, list | tuple):
            raise invalid("a command is a list")
        (result,) = await self._provider.execute(self._scope(shared), [words])
        if isinstance(result, Exception):
            raise result
        return result

    def ask(self, on_end: OnEnd, words: Sequence[Argument], shared: bool = False) -> bool:
        """`command` without a task."""
        return type(words) is list and self._provider.ask(self._scope(shared) if shared else self._own, words, on_end)

    async def execute(self, commands: Sequence[Sequence[Argument]], shared: bool = False) -> list[Any]:
        if not isinstance(commands, list | tuple) or not all(isinstance(words, list | tuple) for words in commands):
            raise invalid("execute takes a list of commands, each a list")
        if len(commands) > MAX_COMMANDS:
            raise ShowgroundError("too_large", f"{len(commands)} commands at once; {MAX_COMMANDS} are allowed", "redis")
        results = await self._provider.execute(self._scope(shared), commands)
        return [_on_the_wire(result) for result in results]

    async def open(self, keys: Sequence[str], shared: bool = False) -> int:
        transaction = await self._provider.transaction(self._scope(shared), keys)
        self._last = number = self._last + 1
        self._transactions[number] = transaction
        return number

    def _transaction(self, number: int) -> KeyValueTransaction:
        try:
            return self._transactions[number]
        except KeyError:
            raise ShowgroundError("conflict", "the transaction is over", "redis", "Begin again with watch().") from None

    async def transaction_execute(self, number: int, command: Sequence[Argument]) -> KeyValueReply:
        return await self._transaction(number).execute(command)

    async def exec(self, number: int) -> list[KeyValueReply] | None:
        transaction = self._transaction(number)
        try:
            return await transaction.exec()
        finally:
            self._transactions.pop(number, None)

    async def close(self, number: int) -> None:
        transaction = self._transactions.pop(number, None)
        if transaction is not None:
            await transaction.close()


def _on_the_wire(result: KeyValueReply | Exception) -> object:
    if isinstance(result, ShowgroundError):
        return result.to_json()
    if isinstance(result, Exception):
        raise result
    return result
