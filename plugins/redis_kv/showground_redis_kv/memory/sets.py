"""Sets in memory."""

from __future__ import annotations

import random
from collections.abc import Callable, Mapping

from showground.redis.api import CommandRefused, Reply
from showground_redis_kv.memory.database import Database, Handler, Members, integer, page

Combine = Callable[[set[bytes], set[bytes]], set[bytes]]


def _members(db: Database, key: bytes) -> Members:
    return db.get(key, Members) or Members()


def sadd(db: Database, words: list[bytes]) -> Reply:
    value = db.make(words[0], Members)
    before = len(value)
    value.update(dict.fromkeys(words[1:]))
    return len(value) - before


def srem(db: Database, words: list[bytes]) -> Reply:
    value = _members(db, words[0])
    found = [member for member in dict.fromkeys(words[1:]) if member in value]
    for member in found:
        del value[member]
    return len(found)


def _some(words: list[bytes], value: Members, repeat: bool) -> list[bytes]:
    count = integer(words[1]) if len(words) > 1 else 1
    if count < 0 and repeat:
        return random.choices(list(value), k=-count) if value else []  # noqa: S311  # as random as Redis' own
    if count < 0 or len(words) > 2:
        raise CommandRefused("ERR value is out of range, must be positive")
    return random.sample(list(value), min(count, len(value)))


def spop(db: Database, words: list[bytes]) -> Reply:
    value = _members(db, words[0])
    found = _some(words, value, repeat=False)
    for member in found:
        del value[member]
    return found if len(words) > 1 else (found[0] if found else None)


def srandmember(db: Database, words: list[bytes]) -> Reply:
    found = _some(words, _members(db, words[0]), repeat=True)
    return found if len(words) > 1 else (found[0] if found else None)


def smove(db: Database, words: list[bytes]) -> Reply:
    source, target, member = words
    if db.get(source, Members) is None:
        return 0
    db.get(target, Members)
    if source == target:
        return int(member in _members(db, source))
    if not srem(db, [source, member]):
        return 0
    sadd(db, [target, member])
    return 1


def _combined(combine: Combine) -> Handler:
    def combined(db: Database, words: list[bytes]) -> Reply:
        first, *others = (set(_members(db, key)) for key in words)
        for other in others:
            first = combine(first, other)
        return sorted(first)

    return combined


def _stored(combine: Combine) -> Handler:
    def stored(db: Database, words: list[bytes]) -> Reply:
        found = _combined(combine)(db, words[1:])
        db.drop(words[0])
        if found:
            db.values[words[0]] = Members(dict.fromkeys(found))
        return len(found)

    return stored


def sscan(db: Database, words: list[bytes]) -> Reply:
    return list(page(list(_members(db, words[0])), lambda member: member, words[1:]))


HANDLERS: Mapping[str, Handler] = {
    "SADD": sadd,
    "SREM": srem,
    "SMEMBERS": lambda db, words: list(_members(db, words[0])),
    "SCARD": lambda db, words: len(_members(db, words[0])),
    "SISMEMBER": lambda db, words: int(words[1] in _members(db, words[0])),
    "SMISMEMBER": lambda db, words: [int(member in _members(db, words[0])) for member in words[1:]],
    "SPOP": spop,
    "SRANDMEMBER": srandmember,
    "SMOVE": smove,
    "SINTER": _combined(set.intersection),
    "SUNION": _combined(set.union),
    "SDIFF": _combined(set.difference),
    "SINTERSTORE": _stored(set.intersection),
    "SUNIONSTORE": _stored(set.union),
    "SDIFFSTORE": _stored(set.difference),
    "SSCAN": sscan,
}
