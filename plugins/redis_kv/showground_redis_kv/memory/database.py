"""Keys and values in this process: types, expiry, and the small conversions that every command needs.

Values are `bytes` (string), `dict` (hash), `list`, `Members` (set), `Scores` (sorted set) or `Stream`.
"""

from __future__ import annotations

import math
import re
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any, TypeVar

from showground.redis.api import CommandRefused, Reply

T = TypeVar("T")


class Members(dict[bytes, None]):
    """A set that remembers the order of insertion, so that tests repeat."""


class Scores(dict[bytes, float]):
    """A sorted set; ordered when it is read."""

    def ordered(self) -> list[bytes]:
        return sorted(self, key=lambda member: (self[member], member))


EntryId = tuple[int, int]


@dataclass
class Stream:
    entries: dict[EntryId, list[bytes]] = field(default_factory=dict)
    last: EntryId = (0, 0)


TYPES: dict[type, bytes] = {
    bytes: b"string", dict: b"hash", list: b"list", Members: b"set", Scores: b"zset", Stream: b"stream",
}  # fmt: skip


class Database:
    """All keys of one provider. Time is given in, so that tests move it."""

    def __init__(self, now_ms: Callable[[], int]) -> None:
        self.now_ms = now_ms
        self.values: dict[bytes, Any] = {}
        self.expires: dict[bytes, int] = {}
        self.versions: Counter[bytes] = Counter()

    def find(self, key: bytes) -> Any:
        """The value, or None; a key whose time is up is removed."""
        expires = self.expires.get(key)
        if expires is not None and expires <= self.now_ms():
            self.drop(key)
        return self.values.get(key)

    def get(self, key: bytes, kind: type[T]) -> T | None:
        """The value if it is of *kind*; None when there is none."""
        value = self.find(key)
        if value is not None and type(value) is not kind:
            raise CommandRefused("WRONGTYPE Operation against a key holding the wrong kind of value")
        return value

    def make(self, key: bytes, kind: type[T]) -> T:
        """The value, made empty when there is none."""
        value = self.get(key, kind)
        if value is None:
            value = self.values[key] = kind()
        return value

    def drop(self, key: bytes) -> bool:
        self.expires.pop(key, None)
        if self.values.pop(key, None) is None:
            return False
        self.versions[key] += 1
        return True

    def touched(self, key: bytes, existed: bool) -> None:
        """After a command that may have written *key*: empty collections go, watchers are told."""
        value = self.values.get(key)
        if value is not None and not isinstance(value, bytes | Stream) and not value:
            self.drop(key)
        elif value is not None or existed:
            self.versions[key] += 1

    def names(self, prefix: bytes) -> Iterator[bytes]:
        for name in list(self.values):
            if name.startswith(prefix) and self.find(name) is not None:
                yield name

    def weigh(self, key: bytes) -> int:
        """What the quota counts: the bytes of the name and of what it holds, and a little for each."""
        value = self.find(key)
        if value is None:
            return 0
        return len(key) + 48 + _size(value)


def _size(value: Any) -> int:
    if isinstance(value, bytes):
        return len(value)
    if isinstance(value, Stream):
        return sum(32 + sum(map(len, fields)) for fields in value.entries.values())
    if isinstance(value, list | Members):
        return sum(16 + len(item) for item in value)
    return sum(16 + len(name) + (len(item) if isinstance(item, bytes) else 8) for name, item in value.items())


def integer(word: bytes, message: str = "ERR value is not an integer or out of range") -> int:
    if not re.fullmatch(rb"-?[0-9]{1,19}", word) or not -(2**63) <= int(word) < 2**63:
        raise CommandRefused(message)
    return int(word)


def real(word: bytes, message: str = "ERR value is not a valid float") -> float:
    try:
        value = float(word)
    except ValueError:
        raise CommandRefused(message) from None
    if math.isnan(value):
        raise CommandRefused(message)
    return value


def total(old: bytes, amount: bytes, message: str) -> bytes:
    """The sum of a kept number and another, as text."""
    value = real(old, message) + real(amount)
    if not math.isfinite(value):
        raise CommandRefused("ERR increment would produce NaN or Infinity")
    return shown(value)


def shown(value: float) -> bytes:
    """A number as Redis writes it: `5`, `8.5`, `inf`."""
    return b"%d" % value if value.is_integer() and abs(value) < 1e17 else repr(value).encode()


def span(start: bytes, end: bytes, length: int) -> range:
    """The positions of an inclusive range whose ends may count from the back."""
    first, last = integer(start), integer(end)
    first = max(first + length, 0) if first < 0 else first
    last = last + length if last < 0 else min(last, length - 1)
    return range(first, last + 1)


def glob(pattern: bytes) -> re.Pattern[bytes]:
    r"""Redis' glob (`*`, `?`, `[a-z]`, `[^x]`, `\`) as a regular expression."""
    tokens = re.findall(rb"\\.|\[(?:\\.|[^\]])*\]|.", pattern, re.DOTALL)
    parts = []
    for token in tokens:
        if token == b"*":
            parts.append(b".*")
        elif token == b"?":
            parts.append(b".")
        elif token.startswith(b"[") and len(token) > 2:
            parts.append(token)
        else:
            parts.append(re.escape(token[1:] if token.startswith(b"\\") and len(token) > 1 else token))
    return re.compile(b"".join(parts), re.DOTALL)


def page(items: list[Any], name: Callable[[Any], bytes], words: list[bytes]) -> tuple[bytes, list[Any]]:
    """One page of a scan from *words* `cursor [MATCH glob] [COUNT n]`: the next cursor, and what matches."""
    start = integer(words[0], "ERR invalid cursor")
    options = dict(zip((word.upper() for word in words[1::2]), words[2::2], strict=False))
    count = integer(options.get(b"COUNT", b"10"))
    if count < 1 or options.keys() - {b"COUNT", b"MATCH", b"TYPE"}:
        raise CommandRefused("ERR syntax error")
    wanted = glob(options.get(b"MATCH", b"*"))
    end = start + count
    found = [item for item in items[start:end] if wanted.fullmatch(name(item))]
    return (b"%d" % end if end < len(items) else b"0"), found


def flags(words: list[bytes], *known: str) -> tuple[set[str], list[bytes]]:
    """The leading option words of *known* (any case), and what follows them."""
    found: set[str] = set()
    while words and words[0].decode("latin-1").upper() in known:
        found.add(words[0].decode().upper())
        words = words[1:]
    return found, words


Handler = Callable[[Database, list[bytes]], Reply]
"""One command: gets the words after its name."""
SYNTAX = "ERR syntax error"
