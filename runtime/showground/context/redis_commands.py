"""The commands of `context.redis`, under the names and signatures that Python people know from redis-py.

Text in, text out: replies are `str` (or numbers where Redis has numbers); bytes that are not UTF-8 come as `bytes`.
Errors are `ShowgroundError`: `wrong_type`, `invalid`, `quota_exceeded` (nothing was written), `too_large`, `store_unavailable`.
docs/redis.md has the table of Devvit's names and ours.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Iterable, Mapping
from datetime import datetime, timedelta
from typing import Any, TypeVar

from showground.errors import ShowgroundError

T = TypeVar("T")
Value = str | bytes | int | float
Seconds = int | timedelta
Moment = int | datetime


def same(reply: Any) -> Any:
    return reply


def ok(reply: Any) -> bool | None:
    return True if reply == "OK" else None


def _number(reply: Any) -> float | None:
    return None if reply is None else float(reply)


def _float(reply: Any) -> float:
    return float(reply)


def dict_of(reply: list[str]) -> dict[str, str]:
    return dict(zip(reply[::2], reply[1::2], strict=True))


def _scored(reply: list[str]) -> list[tuple[str, float]]:
    return [(member, float(score)) for member, score in zip(reply[::2], reply[1::2], strict=True)]


def _buffer(reply: Any) -> bytes | None:
    return reply.encode() if isinstance(reply, str) else reply


def _page(convert: Callable[[list[Any]], T]) -> Callable[[list[Any]], tuple[int, T]]:
    return lambda reply: (int(reply[0]), convert(reply[1]))


def _seconds(value: Seconds) -> int:
    return int(value.total_seconds()) if isinstance(value, timedelta) else value


def _milliseconds(value: Seconds) -> int:
    return int(value.total_seconds() * 1000) if isinstance(value, timedelta) else value


def _unix(value: Moment, factor: int = 1) -> int:
    return int(value.timestamp() * factor) if isinstance(value, datetime) else value


def option_words(**options: Value | bool | None) -> list[Value]:
    """`nx=True, ex=5` as `NX EX 5`; what is None or False is left out."""
    words: list[Value] = []
    for name, value in options.items():
        if value is None or value is False:
            continue
        words.append(name.upper())
        if value is not True:
            words.append(value)
    return words


def _invalid(message: str) -> ShowgroundError:
    return ShowgroundError("invalid", message, "redis")


class RedisCommands:
    """Every method is one command; see https://valkey.io/commands for what each does."""

    async def _run(self, convert: Callable[[Any], T], *words: Value) -> T:
        raise NotImplementedError

    async def execute_command(self, *words: Value) -> Any:
        """Any allowed command, with its reply as it is: `await redis.execute_command("LPOS", …)`."""
        return await self._run(same, *words)

    # --- keys ---

    async def delete(self, *names: str) -> int:
        """How many there were."""
        return await self._run(int, "DEL", *names)

    async def exists(self, *names: str) -> int:
        return await self._run(int, "EXISTS", *names)

    async def type(self, name: str) -> str:
        """`string`, `hash`, `zset`, `set`, `list`, `stream` or `none`."""
        return await self._run(str, "TYPE", name)

    async def rename(self, src: str, dst: str) -> bool | None:
        return await self._run(ok, "RENAME", src, dst)

    async def renamenx(self, src: str, dst: str) -> bool:
        return await self._run(bool, "RENAMENX", src, dst)

    async def expire(self, name: str, time: Seconds) -> bool:
        """Whether there was such a key."""
        return await self._run(bool, "EXPIRE", name, _seconds(time))

    async def pexpire(self, name: str, time: Seconds) -> bool:
        return await self._run(bool, "PEXPIRE", name, _milliseconds(time))

    async def expireat(self, name: str, when: Moment) -> bool:
        return await self._run(bool, "EXPIREAT", name, _unix(when))

    async def expiretime(self, name: str) -> int:
        """Unix time in seconds at which the key goes; -1 when it stays, -2 when there is none."""
        return await self._run(int, "EXPIRETIME", name)

    async def ttl(self, name: str) -> int:
        """Seconds that the key still has; -1 when it stays, -2 when there is none."""
        return await self._run(int, "TTL", name)

    async def pttl(self, name: str) -> int:
        return await self._run(int, "PTTL", name)

    async def persist(self, name: str) -> bool:
        return await self._run(bool, "PERSIST", name)

    async def scan(
        self, cursor: int = 0, match: str | None = None, count: int | None = None, _type: str | None = None
    ) -> tuple[int, list[str]]:
        """One page of the app's own keys. Begin with 0, go on with the returned cursor until it is 0; a page may be empty."""
        return await self._run(_page(list), "SCAN", cursor, *option_words(match=match, count=count, type=_type))

    async def scan_iter(self, match: str | None = None, _type: str | None = None) -> AsyncIterator[str]:
        """Every own key once, in no order; keys written meanwhile may be missed."""
        seen: set[str] = set()
        cursor = 0
        while True:
            cursor, names = await self.scan(cursor, match, None, _type)
            for name in names:
                if name not in seen:
                    seen.add(name)
                    yield name
            if not cursor:
                return

    # --- strings ---

    async def get(self, name: str) -> str | None:
        return await self._run(same, "GET", name)

    async def get_buffer(self, name: str) -> bytes | None:
        """The value as bytes, whatever it is."""
        return await self._run(_buffer, "GET", name)

    async def set(
        self,
        name: str,
        value: Value,
        ex: Seconds | None = None,
        px: Seconds | None = None,
        nx: bool = False,
        xx: bool = False,
        keepttl: bool = False,
        get: bool = False,
        exat: Moment | None = None,
        pxat: Moment | None = None,
        expiration: datetime | None = None,
    ) -> Any:
        """True, or None when *nx* or *xx* refused it; with *get* the old value. *expiration* is Devvit's name of *exat*."""
        if nx and xx:
            raise _invalid("nx and xx exclude each other")
        exat = exat if expiration is None else expiration
        words = option_words(
            ex=None if ex is None else _seconds(ex),
            px=None if px is None else _milliseconds(px),
            exat=None if exat is None else _unix(exat),
            pxat=None if pxat is None else _unix(pxat, 1000),
            nx=nx,
            xx=xx,
            keepttl=keepttl,
            get=get,
        )
        return await self._run(same if get else ok, "SET", name, value, *words)

    async def setnx(self, name: str, value: Value) -> bool:
        return await self._run(bool, "SETNX", name, value)

    async def setex(self, name: str, time: Seconds, value: Value) -> bool | None:
        return await self._run(ok, "SETEX", name, _seconds(time), value)

    async def getdel(self, name: str) -> str | None:
        return await self._run(same, "GETDEL", name)

    async def getex(
        self, name: str, ex: Seconds | None = None, px: Seconds | None = None, persist: bool = False
    ) -> str | None:
        words = option_words(
            ex=None if ex is None else _seconds(ex), px=None if px is None else _milliseconds(px), persist=persist
        )
        return await self._run(same, "GETEX", name, *words)

    async def mget(self, keys: str | Iterable[str], *more: str) -> list[str | None]:
        """One value for each key, None where there is none (an empty string stays one)."""
        names = [keys] if isinstance(keys, str) else list(keys)
        return await self._run(same, "MGET", *names, *more)

    async def mset(self, mapping: Mapping[str, Value]) -> bool | None:
        return await self._run(ok, "MSET", *flat(mapping))

    async def msetnx(self, mapping: Mapping[str, Value]) -> bool:
        return await self._run(bool, "MSETNX", *flat(mapping))

    async def append(self, key: str, value: Value) -> int:
        return await self._run(int, "APPEND", key, value)

    async def strlen(self, name: str) -> int:
        return await self._run(int, "STRLEN", name)

    async def getrange(self, key: str, start: int, end: int) -> str:
        """Both ends are included."""
        return await self._run(same, "GETRANGE", key, start, end)

    async def setrange(self, name: str, offset: int, value: Value) -> int:
        return await self._run(int, "SETRANGE", name, offset, value)

    async def incr(self, name: str, amount: int = 1) -> int:
        return await self._run(int, "INCRBY", name, amount)

    async def incrby(self, name: str, amount: int = 1) -> int:
        return await self._run(int, "INCRBY", name, amount)

    async def decr(self, name: str, amount: int = 1) -> int:
        return await self._run(int, "DECRBY", name, amount)

    async def decrby(self, name: str, amount: int = 1) -> int:
        return await self._run(int, "DECRBY", name, amount)

    async def incrbyfloat(self, name: str, amount: float = 1.0) -> float:
        return await self._run(_float, "INCRBYFLOAT", name, amount)

    async def bitfield(self, key: str, *commands: Value) -> list[int | None]:
        """`await redis.bitfield("k", "incrBy", "u8", 0, 1, "get", "u8", 0)`."""
        return await self._run(same, "BITFIELD", key, *commands)

    # --- hashes ---

    async def hget(self, name: str, key: str) -> str | None:
        return await self._run(same, "HGET", name, key)

    async def hmget(self, name: str, keys: Iterable[str], *more: str) -> list[str | None]:
        return await self._run(same, "HMGET", name, *([keys] if isinstance(keys, str) else keys), *more)

    async def hset(
        self, name: str, key: str | None = None, value: Value | None = None, mapping: Mapping[str, Value] | None = None
    ) -> int:
        """How many fields are new: `hset("h", "field", 1)` or `hset("h", mapping={…})`."""
        pairs = flat(mapping or {})
        if key is not None and value is not None:
            pairs = [key, value, *pairs]
        return await self._run(int, "HSET", name, *pairs)

    async def hsetnx(self, name: str, key: str, value: Value) -> int:
        return await self._run(int, "HSETNX", name, key, value)

    async def hgetall(self, name: str) -> dict[str, str]:
        return await self._run(dict_of, "HGETALL", name)

    async def hdel(self, name: str, *keys: str) -> int:
        return await self._run(int, "HDEL", name, *keys)

    async def hexists(self, name: str, key: str) -> bool:
        return await self._run(bool, "HEXISTS", name, key)

    async def hkeys(self, name: str) -> list[str]:
        return await self._run(same, "HKEYS", name)

    async def hvals(self, name: str) -> list[str]:
        return await self._run(same, "HVALS", name)

    async def hlen(self, name: str) -> int:
        return await self._run(int, "HLEN", name)

    async def hstrlen(self, name: str, key: str) -> int:
        return await self._run(int, "HSTRLEN", name, key)

    async def hincrby(self, name: str, key: str, amount: int = 1) -> int:
        return await self._run(int, "HINCRBY", name, key, amount)

    async def hincrbyfloat(self, name: str, key: str, amount: float = 1.0) -> float:
        return await self._run(_float, "HINCRBYFLOAT", name, key, amount)

    async def hscan(
        self, name: str, cursor: int = 0, match: str | None = None, count: int | None = None
    ) -> tuple[int, dict[str, str]]:
        return await self._run(_page(dict_of), "HSCAN", name, cursor, *option_words(match=match, count=count))

    # --- sorted sets ---

    async def zadd(
        self,
        name: str,
        mapping: Mapping[str, float],
        nx: bool = False,
        xx: bool = False,
        ch: bool = False,
        incr: bool = False,
        gt: bool = False,
        lt: bool = False,
    ) -> Any:
        """How many members are new (with *ch*: changed); with *incr* the new score, or None."""
        words = option_words(nx=nx, xx=xx, gt=gt, lt=lt, ch=ch, incr=incr)
        pairs = [word for member, score in mapping.items() for word in (score, member)]
        return await self._run(_number if incr else int, "ZADD", name, *words, *pairs)

    async def zcard(self, name: str) -> int:
        return await self._run(int, "ZCARD", name)

    async def zcount(self, name: str, min: float | str, max: float | str) -> int:
        return await self._run(int, "ZCOUNT", name, min, max)

    async def zscore(self, name: str, value: str) -> float | None:
        return await self._run(_number, "ZSCORE", name, value)

    async def zmscore(self, key: str, members: Iterable[str]) -> list[float | None]:
        return await self._run(lambda reply: [_number(score) for score in reply], "ZMSCORE", key, *members)

    async def zrank(self, name: str, value: str) -> int | None:
        return await self._run(same, "ZRANK", name, value)

    async def zrevrank(self, name: str, value: str) -> int | None:
        return await self._run(same, "ZREVRANK", name, value)

    async def zincrby(self, name: str, amount: float, value: str) -> float:
        return await self._run(_float, "ZINCRBY", name, amount, value)

    async def zrange(
        self,
        name: str,
        start: float | str,
        end: float | str,
        desc: bool = False,
        withscores: bool = False,
        byscore: bool = False,
        bylex: bool = False,
        offset: int | None = None,
        num: int | None = None,
    ) -> Any:
        """Members in order, or (member, score) pairs. By rank unless *byscore* or *bylex*; *offset* and *num* only with those.

        A bound of *bylex* that starts with none of `[ ( + -` includes itself, as in Devvit.
        """
        if bylex:
            start, end = (str(b) if str(b)[:1] in tuple("[(+-") else f"[{b}" for b in (start, end))
        limit: list[Value] = (
            [] if offset is None and num is None else ["LIMIT", offset or 0, -1 if num is None else num]
        )
        words = option_words(byscore=byscore, bylex=bylex, rev=desc)
        convert: Callable[[Any], Any] = _scored if withscores else same
        return await self._run(
            convert, "ZRANGE", name, start, end, *words, *limit, *option_words(withscores=withscores)
        )

    async def zrem(self, name: str, *values: str) -> int:
        return await self._run(int, "ZREM", name, *values)

    async def zremrangebyrank(self, name: str, min: int, max: int) -> int:
        return await self._run(int, "ZREMRANGEBYRANK", name, min, max)

    async def zremrangebyscore(self, name: str, min: float | str, max: float | str) -> int:
        return await self._run(int, "ZREMRANGEBYSCORE", name, min, max)

    async def zremrangebylex(self, name: str, min: str, max: str) -> int:
        return await self._run(int, "ZREMRANGEBYLEX", name, min, max)

    async def zpopmin(self, name: str, count: int = 1) -> list[tuple[str, float]]:
        return await self._run(_scored, "ZPOPMIN", name, count)

    async def zpopmax(self, name: str, count: int = 1) -> list[tuple[str, float]]:
        return await self._run(_scored, "ZPOPMAX", name, count)

    async def zscan(
        self, name: str, cursor: int = 0, match: str | None = None, count: int | None = None
    ) -> tuple[int, list[tuple[str, float]]]:
        return await self._run(_page(_scored), "ZSCAN", name, cursor, *option_words(match=match, count=count))


def flat(mapping: Mapping[str, Value]) -> list[Value]:
    return [word for pair in mapping.items() for word in pair]
