"""Lists in memory."""

from __future__ import annotations

from collections.abc import Mapping

from showground.redis.api import CommandRefused, Reply
from showground_redis_kv.memory.database import SYNTAX, Database, Handler, integer, span

List = list[bytes]


def _list(db: Database, key: bytes) -> List:
    return db.get(key, list) or []


def _push(left: bool, existing: bool) -> Handler:
    def push(db: Database, words: list[bytes]) -> Reply:
        key, *items = words
        if existing and db.get(key, list) is None:
            return 0
        value: List = db.make(key, list)
        if left:
            value[:0] = items[::-1]
        else:
            value.extend(items)
        return len(value)

    return push


def _pop(left: bool) -> Handler:
    def pop(db: Database, words: list[bytes]) -> Reply:
        value = db.get(words[0], list)
        count = integer(words[1]) if len(words) > 1 else 1
        if count < 0 or len(words) > 2:
            raise CommandRefused("ERR value is out of range, must be positive")
        if value is None:
            return None
        found = [value.pop(0 if left else -1) for _ in range(min(count, len(value)))]
        return found if len(words) > 1 else found[0]

    return pop


def lindex(db: Database, words: list[bytes]) -> Reply:
    value, at = _list(db, words[0]), integer(words[1])
    return value[at] if -len(value) <= at < len(value) else None


def lset(db: Database, words: list[bytes]) -> Reply:
    value, at = db.get(words[0], list), integer(words[1])
    if value is None:
        raise CommandRefused("ERR no such key")
    if not -len(value) <= at < len(value):
        raise CommandRefused("ERR index out of range")
    value[at] = words[2]
    return b"OK"


def lrem(db: Database, words: list[bytes]) -> Reply:
    value, count = _list(db, words[0]), integer(words[1])
    places = [n for n, item in enumerate(value) if item == words[2]]
    chosen = places[count:] if count < 0 else places[: count or None]
    for n in reversed(chosen):
        del value[n]
    return len(chosen)


def lrange(db: Database, words: list[bytes]) -> Reply:
    value = _list(db, words[0])
    positions = span(words[1], words[2], len(value))
    return value[positions.start : positions.stop]


def ltrim(db: Database, words: list[bytes]) -> Reply:
    _list(db, words[0])[:] = lrange(db, words)
    return b"OK"


def linsert(db: Database, words: list[bytes]) -> Reply:
    value, where = _list(db, words[0]), words[1].upper()
    if where not in (b"BEFORE", b"AFTER"):
        raise CommandRefused(SYNTAX)
    if words[2] not in value:
        return -1 if value else 0
    value.insert(value.index(words[2]) + (where == b"AFTER"), words[3])
    return len(value)


def lmove(db: Database, words: list[bytes]) -> Reply:
    ends = [word.upper() for word in words[2:]]
    if any(end not in (b"LEFT", b"RIGHT") for end in ends):
        raise CommandRefused(SYNTAX)
    source = db.get(words[0], list)
    if source is None:
        return None
    db.get(words[1], list)
    item = source.pop(0 if ends[0] == b"LEFT" else -1)
    target = db.make(words[1], list)
    target.insert(0 if ends[1] == b"LEFT" else len(target), item)
    return item


HANDLERS: Mapping[str, Handler] = {
    "LPUSH": _push(left=True, existing=False),
    "RPUSH": _push(left=False, existing=False),
    "LPUSHX": _push(left=True, existing=True),
    "RPUSHX": _push(left=False, existing=True),
    "LPOP": _pop(left=True),
    "RPOP": _pop(left=False),
    "LLEN": lambda db, words: len(_list(db, words[0])),
    "LINDEX": lindex,
    "LSET": lset,
    "LREM": lrem,
    "LRANGE": lrange,
    "LTRIM": ltrim,
    "LINSERT": linsert,
    "LMOVE": lmove,
}
