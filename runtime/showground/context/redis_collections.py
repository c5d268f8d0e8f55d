"""Sets, lists and streams of `context.redis`: what Devvit does not have."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from showground.context.redis_commands import RedisCommands, Value, dict_of, flat, ok, option_words, same

Strings = set[str]
Entry = tuple[str, dict[str, str]]
"""One entry of a stream: its id and its fields."""


def _set(reply: list[str]) -> set[str]:
    return set(reply)


def _entries(reply: list[Any]) -> list[Entry]:
    return [(entry_id, dict_of(fields)) for entry_id, fields in reply]


def _streams(reply: Any) -> dict[str, list[Entry]]:
    return {name: _entries(entries) for name, entries in reply or ()}


class AllCommands(RedisCommands):
    """Every method is one command; see https://valkey.io/commands for what each does."""

    # --- sets ---

    async def sadd(self, name: str, *values: Value) -> int:
        return await self._run(int, "SADD", name, *values)

    async def srem(self, name: str, *values: Value) -> int:
        return await self._run(int, "SREM", name, *values)

    async def smembers(self, name: str) -> Strings:
        return await self._run(_set, "SMEMBERS", name)

    async def sismember(self, name: str, value: Value) -> bool:
        return await self._run(bool, "SISMEMBER", name, value)

    async def scard(self, name: str) -> int:
        return await self._run(int, "SCARD", name)

    async def spop(self, name: str) -> str | None:
        return await self._run(same, "SPOP", name)

    async def srandmember(self, name: str) -> str | None:
        return await self._run(same, "SRANDMEMBER", name)

    async def smove(self, src: str, dst: str, value: Value) -> bool:
        return await self._run(bool, "SMOVE", src, dst, value)

    async def sinter(self, *keys: str) -> Strings:
        return await self._run(_set, "SINTER", *keys)

    async def sunion(self, *keys: str) -> Strings:
        return await self._run(_set, "SUNION", *keys)

    async def sdiff(self, *keys: str) -> Strings:
        return await self._run(_set, "SDIFF", *keys)

    # --- lists ---

    async def lpush(self, name: str, *values: Value) -> int:
        return await self._run(int, "LPUSH", name, *values)

    async def rpush(self, name: str, *values: Value) -> int:
        return await self._run(int, "RPUSH", name, *values)

    async def lpop(self, name: str) -> str | None:
        return await self._run(same, "LPOP", name)

    async def rpop(self, name: str) -> str | None:
        return await self._run(same, "RPOP", name)

    async def llen(self, name: str) -> int:
        return await self._run(int, "LLEN", name)

    async def lrange(self, name: str, start: int, end: int) -> list[str]:
        return await self._run(same, "LRANGE", name, start, end)

    async def lindex(self, name: str, index: int) -> str | None:
        return await self._run(same, "LINDEX", name, index)

    async def lset(self, name: str, index: int, value: Value) -> bool | None:
        return await self._run(ok, "LSET", name, index, value)

    async def lrem(self, name: str, count: int, value: Value) -> int:
        return await self._run(int, "LREM", name, count, value)

    async def ltrim(self, name: str, start: int, end: int) -> bool | None:
        return await self._run(ok, "LTRIM", name, start, end)

    # --- streams ---

    async def xadd(self, name: str, fields: Mapping[str, Value], id: str = "*", maxlen: int | None = None) -> str:
        """The new entry's id. With *maxlen* the oldest entries beyond it are dropped, exactly."""
        trim: list[Value] = [] if maxlen is None else ["MAXLEN", maxlen]
        return await self._run(str, "XADD", name, *trim, id, *flat(fields))

    async def xlen(self, name: str) -> int:
        return await self._run(int, "XLEN", name)

    async def xrange(self, name: str, min: str = "-", max: str = "+", count: int | None = None) -> list[Entry]:
        return await self._run(_entries, "XRANGE", name, min, max, *option_words(count=count))

    async def xrevrange(self, name: str, max: str = "+", min: str = "-", count: int | None = None) -> list[Entry]:
        return await self._run(_entries, "XREVRANGE", name, max, min, *option_words(count=count))

    async def xread(self, streams: Mapping[str, str], count: int | None = None) -> dict[str, list[Entry]]:
        """What comes after the given ids. Never waits."""
        return await self._run(_streams, "XREAD", *option_words(count=count), "STREAMS", *streams, *streams.values())

    async def xdel(self, name: str, *ids: str) -> int:
        return await self._run(int, "XDEL", name, *ids)

    async def xtrim(self, name: str, maxlen: int) -> int:
        return await self._run(int, "XTRIM", name, "MAXLEN", maxlen)
