"""Hashes in memory."""

from __future__ import annotations

from collections.abc import Mapping
from itertools import chain

from showground.redis.api import CommandRefused, Reply
from showground_redis_kv.memory.database import Database, Handler, integer, page, total

Hash = dict[bytes, bytes]


def _hash(db: Database, key: bytes) -> Hash:
    return db.get(key, dict) or {}


def hset(db: Database, words: list[bytes]) -> Reply:
    key, *pairs = words
    if len(pairs) % 2:
        raise CommandRefused("ERR wrong number of arguments for 'hset' command")
    value = db.make(key, dict)
    before = len(value)
    value.update(zip(pairs[::2], pairs[1::2], strict=True))
    return len(value) - before


def hsetnx(db: Database, words: list[bytes]) -> Reply:
    if words[1] in _hash(db, words[0]):
        return 0
    return hset(db, words)


def hincrby(db: Database, words: list[bytes]) -> Reply:
    key, name, amount = words
    value = integer(_hash(db, key).get(name, b"0"), "ERR hash value is not an integer") + integer(amount)
    if not -(2**63) <= value < 2**63:
        raise CommandRefused("ERR increment or decrement would overflow")
    db.make(key, dict)[name] = b"%d" % value
    return value


def hincrbyfloat(db: Database, words: list[bytes]) -> Reply:
    key, name, amount = words
    value = total(_hash(db, key).get(name, b"0"), amount, "ERR hash value is not a float")
    db.make(key, dict)[name] = value
    return value


def hdel(db: Database, words: list[bytes]) -> Reply:
    value = _hash(db, words[0])
    return sum(value.pop(name, None) is not None for name in words[1:])


def hscan(db: Database, words: list[bytes]) -> Reply:
    cursor, found = page(list(_hash(db, words[0]).items()), lambda pair: pair[0], words[1:])
    return [cursor, list(chain.from_iterable(found))]


HANDLERS: Mapping[str, Handler] = {
    "HSET": hset,
    "HSETNX": hsetnx,
    "HGET": lambda db, words: _hash(db, words[0]).get(words[1]),
    "HMGET": lambda db, words: [_hash(db, words[0]).get(name) for name in words[1:]],
    "HGETALL": lambda db, words: list(chain.from_iterable(_hash(db, words[0]).items())),
    "HKEYS": lambda db, words: list(_hash(db, words[0])),
    "HVALS": lambda db, words: list(_hash(db, words[0]).values()),
    "HLEN": lambda db, words: len(_hash(db, words[0])),
    "HEXISTS": lambda db, words: int(words[1] in _hash(db, words[0])),
    "HSTRLEN": lambda db, words: len(_hash(db, words[0]).get(words[1], b"")),
    "HDEL": hdel,
    "HINCRBY": hincrby,
    "HINCRBYFLOAT": hincrbyfloat,
    "HSCAN": hscan,
}
