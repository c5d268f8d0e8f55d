"""The commands that apps may use: their arity, where their keys stand, and whether they write. Nothing else reaches Redis."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from itertools import pairwise
from typing import Literal

from showground.capabilities import Argument
from showground.errors import ShowgroundError

REQUEST_BYTES = 5 * 1024 * 1024
"""Largest sum of arguments of one request (the Redis page of Devvit: 5 MB)."""
MAX_ARGUMENTS = 7000
"""Words of one command: Lua's stack, on which the quota script lays them, ends at 8000 (LUAI_MAXCSTACK)."""

Growth = Literal["none", "arguments", "offset", "bits", "copies"]


@dataclass(frozen=True, slots=True)
class Command:
    """One row of the table. Positions count words, the name being 0; a negative `last` counts from the end."""

    name: str
    arity: int
    """As in Redis' own COMMAND table: the exact number of words, or, negative, the least."""
    first: int = 1
    last: int = 1
    step: int = 1
    writes: bool = False
    growth: Growth = "none"
    """What bounds the bytes that it may add: `none` for those that only take away."""
    after: str = ""
    """When set, the keys are the first half of what follows this word (XREAD … STREAMS)."""
    has_one_key: bool = field(init=False)
    """Right after the name, as most have it."""
    word: bytes = field(init=False)
    """The name as it is sent."""

    def __post_init__(self) -> None:
        object.__setattr__(self, "has_one_key", (self.first, self.last, self.after) == (1, 1, ""))
        object.__setattr__(self, "word", self.name.encode())

    def keys(self, words: Sequence[Argument]) -> Sequence[int]:
        """The positions of the keys in *words*; raises `invalid` when they cannot be told."""
        if self.after:
            upper = [str(word).upper() if isinstance(word, str) else word for word in words]
            if self.after not in upper:
                raise invalid(f"{self.name} needs {self.after}")
            start = upper.index(self.after) + 1
            if (len(words) - start) % 2 or start == len(words):
                raise invalid(f"{self.name} needs one id per key")
            return range(start, start + (len(words) - start) // 2)
        if not self.first:
            return ()
        last = self.last if self.last > 0 else len(words) + self.last
        return range(self.first, last + 1, self.step)


def _table() -> Mapping[str, Command]:
    rows: list[Command] = []

    def reads(names: str, arity: int, **more: int | str) -> None:
        rows.extend(Command(name, arity, **more) for name in names.split())  # type: ignore[arg-type]

    def writes(names: str, arity: int, growth: Growth = "arguments", **more: int | str) -> None:
        rows.extend(Command(name, arity, writes=True, growth=growth, **more) for name in names.split())  # type: ignore[arg-type]

    # keys
    reads("TYPE TTL PTTL EXPIRETIME PEXPIRETIME", 2)
    reads("EXISTS", -2, last=-1)
    reads("SCAN", -2, first=0)
    writes("DEL UNLINK", -2, "none", last=-1)
    writes("PERSIST", 2, "none")
    writes("EXPIRE PEXPIRE EXPIREAT PEXPIREAT", -3, "none")
    writes("RENAME RENAMENX", 3, "none", last=2)
    # strings
    reads("GET STRLEN", 2)
    reads("GETRANGE", 4)
    reads("MGET", -2, last=-1)
    writes("SET", -3)
    writes("SETNX GETSET APPEND", 3)
    writes("SETEX PSETEX", 4)
    writes("MSET MSETNX", -3, last=-1, step=2)
    writes("SETRANGE", 4, "offset")
    writes("BITFIELD", -2, "bits")
    writes("INCR DECR", 2)
    writes("INCRBY DECRBY INCRBYFLOAT", 3)
    writes("GETDEL", 2, "none")
    writes("GETEX", -2, "none")
    # hashes
    reads("HGETALL HKEYS HVALS HLEN", 2)
    reads("HGET HEXISTS HSTRLEN", 3)
    reads("HMGET HSCAN", -3)
    writes("HSET", -4)
    writes("HSETNX HINCRBY HINCRBYFLOAT", 4)
    writes("HDEL", -3, "none")
    # sorted sets
    reads("ZCARD", 2)
    reads("ZSCORE", 3)
    reads("ZRANK ZREVRANK ZMSCORE ZSCAN", -3)
    reads("ZCOUNT ZLEXCOUNT", 4)
    reads("ZRANGE", -4)
    writes("ZADD", -4)
    writes("ZINCRBY", 4)
    writes("ZREM", -3, "none")
    writes("ZREMRANGEBYRANK ZREMRANGEBYSCORE ZREMRANGEBYLEX", 4, "none")
    writes("ZPOPMIN ZPOPMAX", -2, "none")
    # sets
    reads("SMEMBERS SCARD", 2)
    reads("SISMEMBER", 3)
    reads("SMISMEMBER SSCAN", -3)
    reads("SRANDMEMBER", -2)
    reads("SINTER SUNION SDIFF", -2, last=-1)
    writes("SADD", -3)
    writes("SREM", -3, "none")
    writes("SPOP", -2, "none")
    writes("SMOVE", 4, "none", last=2)
    writes("SINTERSTORE SUNIONSTORE SDIFFSTORE", -3, "copies", last=-1)
    # lists
    reads("LLEN", 2)
    reads("LINDEX", 3)
    reads("LRANGE", 4)
    writes("LPUSH RPUSH LPUSHX RPUSHX", -3)
    writes("LSET", 4)
    writes("LINSERT", 5)
    writes("LPOP RPOP", -2, "none")
    writes("LREM LTRIM", 4, "none")
    writes("LMOVE", 5, "none", last=2)
    # streams
    reads("XLEN", 2)
    reads("XRANGE XREVRANGE", -4)
    reads("XREAD", -4, after="STREAMS")
    writes("XADD", -5)
    writes("XDEL", -3, "none")
    writes("XTRIM", -4, "none")
    return {row.name: row for row in rows}


COMMANDS: Mapping[str, Command] = _table()


def invalid(message: str) -> ShowgroundError:
    return ShowgroundError("invalid", message, "redis", "docs/redis.md lists the commands with their arguments.")


def encoded(word: object) -> bytes:
    """One argument as Redis gets it. Raises `invalid` for what is neither text, bytes nor a number."""
    if isinstance(word, str):
        return word.encode()
    if isinstance(word, bytes):
        return word
    if isinstance(word, int | float) and not isinstance(word, bool):
        return repr(word).encode()
    raise invalid(f"{word!r} is no argument of a Redis command: give text, bytes or a number")


def checked(words: Sequence[Argument]) -> tuple[Command, list[bytes]]:
    """The table's row of a command, and its words as bytes. Raises `unknown_command`, `invalid` or `too_large`."""
    if not words or not isinstance(words[0], str):
        raise invalid("a command starts with its name")
    command = COMMANDS.get(words[0]) or COMMANDS.get(words[0].upper())
    if command is None:
        raise ShowgroundError(
            "unknown_command",
            f"{words[0]} is not a command that apps may use",
            "redis",
            "docs/redis.md lists those that they may.",
        )
    count = len(words)
    if count != command.arity and (command.arity > 0 or count < -command.arity):
        raise invalid(f"wrong number of arguments for {command.name}")
    if command.step == 2 and count % 2 == 0:
        raise invalid(f"{command.name} needs a value for each key")
    if count > MAX_ARGUMENTS:
        raise ShowgroundError(
            "too_large", f"{command.name} has {count} arguments; {MAX_ARGUMENTS} are allowed", "redis", "Split it."
        )
    if command.after and "BLOCK" in (w.upper() for w in words if isinstance(w, str)):
        raise invalid(f"{command.name} may not block")
    if command.name == "BITFIELD":
        _check_bits([str(word) for word in words[2:]])
    return command, [command.word, *map(encoded, words[1:])]


def _check_bits(words: Sequence[str]) -> None:
    """Refuse fields wider than 53 bits: their values would not survive Lua's numbers on the way back."""
    for name, kind in pairwise(words):
        if name.upper() in ("GET", "SET", "INCRBY") and kind[1:].isdigit() and int(kind[1:]) > 53:
            raise invalid(f"bitfield command parse failed; {kind} is wider than 53 bits")


def check_size(requests: Sequence[Sequence[bytes]]) -> None:
    """Raise `too_large` when the arguments of one request are more than `REQUEST_BYTES`."""
    size = sum([sum(map(len, words)) for words in requests])
    if size > REQUEST_BYTES:
        raise ShowgroundError(
            "too_large",
            f"the request has {size} bytes; {REQUEST_BYTES} are allowed",
            "redis",
            "Split it, or keep less in one value.",
        )


def growth(command: Command, words: Sequence[bytes]) -> int:
    """The most bytes that the command may add, but for what it copies from keys that exist."""
    if command.growth == "none":
        return 0
    size = sum(map(len, words[1:]))
    if command.growth == "offset" and words[2].isdigit():
        size += int(words[2])
    if command.growth == "bits":
        changes = [i for i, word in enumerate(words[2:], 2) if word.upper() in (b"SET", b"INCRBY")]
        if not changes:
            return 0
        for at in changes:
            kind, offset = (*words[at + 1 : at + 3], b"", b"")[:2]
            width = int(kind[1:]) if kind[1:].isdigit() else 64
            bits = int(offset.lstrip(b"#")) if offset.lstrip(b"#").isdigit() else 0
            size += (bits * (width if offset.startswith(b"#") else 1) + width) // 8 + 1
    return size
