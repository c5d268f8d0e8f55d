"""Keys as JSON records, one each, and back. The format is described in docs/redis.md."""

from __future__ import annotations

import base64
import binascii
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from showground.capabilities import Argument
from showground.errors import ShowgroundError
from showground.model import Json
from showground.redis.api import Reply

_AT_ONCE = 1000

READERS: Mapping[str, tuple[str, ...]] = {
    "string": ("GET",),
    "hash": ("HGETALL",),
    "list": ("LRANGE", "0", "-1"),
    "set": ("SMEMBERS",),
    "zset": ("ZRANGE", "0", "-1", "WITHSCORES"),
    "stream": ("XRANGE", "-", "+"),
}
"""How a value of each type is read: the command, and what follows its key."""


def to_json(value: Reply) -> Json:
    """Bytes as text, or, where they are not UTF-8, as `{"base64": …}`; lists all through."""
    if isinstance(value, list):
        return [to_json(item) for item in value]
    if isinstance(value, bytes):
        try:
            return value.decode()
        except UnicodeDecodeError:
            return {"base64": base64.b64encode(value).decode()}
    return str(value)


def record(name: bytes, kind: str, value: Reply, expires_at_ms: int) -> Mapping[str, Json]:
    """One key. Hashes and sorted sets are lists of pairs, streams lists of `[id, [field, value, …]]`."""
    if kind in ("hash", "zset"):
        value = [list(pair) for pair in zip(value[::2], value[1::2], strict=True)]
    document: dict[str, Json] = {"key": to_json(name), "type": kind, "value": to_json(value)}
    if expires_at_ms > 0:
        document["expires_at_ms"] = expires_at_ms
    return document


def commands(document: Mapping[str, Json]) -> list[list[Argument]]:
    """The commands that write one record, to be run together. Raises `invalid`."""
    try:
        key = _bytes(document["key"])
        kind, value = document["type"], document["value"]
        found: list[list[Argument]] = [["DEL", key], *_writers(key, str(kind), value)]
        expires = document.get("expires_at_ms")
        if isinstance(expires, int):
            found.append(["PEXPIREAT", key, expires])
    except (KeyError, TypeError, ValueError, binascii.Error) as error:
        raise ShowgroundError(
            "invalid", f"this is no record of an export: {error!r}", "redis.import", "See docs/redis.md."
        ) from None
    return found


def _writers(key: bytes, kind: str, value: Any) -> Iterator[list[Argument]]:
    if kind == "string":
        yield ["SET", key, _bytes(value)]
    elif kind == "stream":
        for entry_id, fields in value:
            yield ["XADD", key, _bytes(entry_id), *map(_bytes, fields)]
    elif kind in ("list", "set"):
        name = "RPUSH" if kind == "list" else "SADD"
        for part in _parts(value):
            yield [name, key, *map(_bytes, part)]
    elif kind == "hash":
        for part in _parts(value):
            yield ["HSET", key, *(_bytes(word) for field, item in part for word in (field, item))]
    elif kind == "zset":
        for part in _parts(value):
            yield ["ZADD", key, *(word for member, score in part for word in (_bytes(score), _bytes(member)))]
    else:
        raise ValueError(f"unknown type {kind!r}")


def _parts(items: Sequence[Any]) -> Iterator[Sequence[Any]]:
    return (items[start : start + _AT_ONCE] for start in range(0, len(items), _AT_ONCE))


def _bytes(value: Json) -> bytes:
    if isinstance(value, str):
        return value.encode()
    if isinstance(value, Mapping):
        return base64.b64decode(str(value["base64"]), validate=True)
    raise ValueError(f"{value!r} is no text")
