"""Redis commands over an installation's own keys: `context.redis` and `context.cache`."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping, Sequence
from typing import Protocol

from showground.keys import CapabilityKey
from showground.model import Json
from showground.soon import OnEnd

Argument = str | bytes | int | float
KeyValueReply = None | bool | int | float | str | bytes | list["KeyValueReply"]


class KeyValueTransaction(Protocol):
    """WATCH / MULTI / EXEC on a connection of its own; ends by itself after 5 s."""

    async def execute(self, command: Sequence[Argument]) -> KeyValueReply:
        """Run one command before `MULTI` at once (reads of watched keys), after it queued (`"QUEUED"`)."""
        ...

    async def exec(self) -> list[KeyValueReply] | None:
        """The replies in order, or None when a watched key changed: then nothing was done."""
        ...

    async def close(self) -> None:
        """Discard whatever was not executed. Idempotent."""
        ...


class KeyValue(Protocol):
    """Redis commands over the keys of one scope. Keys in, keys out: the provider adds and removes the scope's prefix.

    A scope is an installation id, or `app:*` for the keys that an app shares over all communities (`context.redis.global_`).
    """

    async def execute(self, scope: str, commands: Sequence[Sequence[Argument]]) -> list[KeyValueReply | Exception]:
        """Run *commands* in order, in one round trip, not atomically; a command that fails leaves its exception in its place.

        Errors: `unknown_command` (not on the allow-list), `invalid` (wrong arity), `wrong_type`, `quota_exceeded`
        (writes only; nothing was written), `too_large`.
        """
        ...

    def ask(self, scope: str, words: Sequence[Argument], on_end: OnEnd) -> bool:
        """`execute` of one command without a task; *on_end* is told its reply or its error.

        False, and nothing was done, where `execute` has to be asked, which is always right."""
        ...

    async def transaction(self, scope: str, watch: Sequence[str]) -> KeyValueTransaction:
        """Open a transaction that watches *watch*. At most 20 per scope (`quota_exceeded`)."""
        ...

    async def usage(self, scope: str) -> tuple[int, int]:
        """(bytes used, bytes allowed)."""
        ...

    def export(self, scope: str) -> AsyncIterator[Mapping[str, Json]]:
        """Every key as one JSON record with type, value and expiry, in no order."""
        ...

    async def load(self, scope: str, record: Mapping[str, Json]) -> None:
        """Write one record of `export`; an existing key is replaced."""
        ...

    async def clear(self, scope: str) -> int:
        """Delete every key of the scope; returns how many."""
        ...


KEY_VALUE: CapabilityKey[KeyValue] = CapabilityKey("redis_kv")
