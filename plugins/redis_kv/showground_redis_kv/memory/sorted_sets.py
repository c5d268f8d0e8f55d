"""Sorted sets in memory."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from itertools import chain

from showground.redis.api import CommandRefused, Reply
from showground_redis_kv.memory.database import (
    SYNTAX,
    Database,
    Handler,
    Scores,
    flags,
    integer,
    page,
    real,
    shown,
    span,
)


def _scores(db: Database, key: bytes) -> Scores:
    return db.get(key, Scores) or Scores()


def _by_score(low: bytes, high: bytes) -> Callable[[float], bool]:
    message = "ERR min or max is not a float"
    least, most = real(low.removeprefix(b"("), message), real(high.removeprefix(b"("), message)

    def within(score: float) -> bool:
        above = score > least if low.startswith(b"(") else score >= least
        return above and (score < most if high.startswith(b"(") else score <= most)

    return within


def _by_lex(low: bytes, high: bytes) -> Callable[[bytes], bool]:
    for bound in (low, high):
        if bound not in (b"-", b"+") and bound[:1] not in (b"[", b"("):
            raise CommandRefused("ERR min or max not valid string range item")

    def above(member: bytes) -> bool:
        return low == b"-" or (low != b"+" and (member > low[1:] if low[:1] == b"(" else member >= low[1:]))

    def below(member: bytes) -> bool:
        return high == b"+" or (high != b"-" and (member < high[1:] if high[:1] == b"(" else member <= high[1:]))

    return lambda member: above(member) and below(member)


def _matching(value: Scores, kind: str, low: bytes, high: bytes) -> list[bytes]:
    """The members between two bounds, in order; *kind* is `rank`, `score` or `lex`."""
    ordered = value.ordered()
    if kind == "rank":
        positions = span(low, high, len(ordered))
        return ordered[positions.start : positions.stop]
    if kind == "score":
        within = _by_score(low, high)
        return [member for member in ordered if within(value[member])]
    return list(filter(_by_lex(low, high), ordered))


def zadd(db: Database, words: list[bytes]) -> Reply:
    key, *rest = words
    options, pairs = flags(rest, "NX", "XX", "GT", "LT", "CH", "INCR")
    if not pairs or len(pairs) % 2 or ("INCR" in options and len(pairs) != 2):
        raise CommandRefused(SYNTAX)
    if ("NX" in options and options & {"XX", "GT", "LT"}) or {"GT", "LT"} <= options:
        raise CommandRefused("ERR GT, LT, and/or NX options at the same time are not compatible")
    wanted = [(real(score), member) for score, member in zip(pairs[::2], pairs[1::2], strict=True)]
    value = db.make(key, Scores)
    added = changed = 0
    result: bytes | None = None
    for score, member in wanted:
        old = value.get(member)
        if ("NX" in options and old is not None) or ("XX" in options and old is None):
            continue
        new = score + (old or 0.0) if "INCR" in options else score
        if math.isnan(new):
            raise CommandRefused("ERR resulting score is not a number (NaN)")
        if old is not None and (("GT" in options and new <= old) or ("LT" in options and new >= old)):
            continue
        value[member] = new
        result = shown(new)
        added += old is None
        changed += old != new
    if "INCR" in options:
        return result
    return changed if "CH" in options else added


def zrange(db: Database, words: list[bytes]) -> Reply:
    key, low, high, *rest = words
    kind, reverse, scored, limit = "rank", False, False, None
    while rest:
        option = rest.pop(0).upper()
        if option in (b"BYSCORE", b"BYLEX"):
            kind = option[2:].decode().lower()
        elif option == b"REV":
            reverse = True
        elif option == b"WITHSCORES":
            scored = True
        elif option == b"LIMIT" and len(rest) > 1:
            limit = (integer(rest.pop(0)), integer(rest.pop(0)))
        else:
            raise CommandRefused(SYNTAX)
    if (limit and kind == "rank") or (scored and kind == "lex"):
        raise CommandRefused(SYNTAX)
    value = _scores(db, key)
    if kind == "rank":
        ordered = value.ordered()[:: -1 if reverse else 1]
        positions = span(low, high, len(ordered))
        found = ordered[positions.start : positions.stop]
    else:
        found = _matching(value, kind, *((high, low) if reverse else (low, high)))[:: -1 if reverse else 1]
    if limit is not None:
        offset, count = limit
        found = [] if offset < 0 else found[offset : None if count < 0 else offset + count]
    return list(chain.from_iterable((m, shown(value[m])) for m in found)) if scored else found


def _remove(kind: str) -> Handler:
    def remove(db: Database, words: list[bytes]) -> Reply:
        value = _scores(db, words[0])
        found = _matching(value, kind, words[1], words[2])
        for member in found:
            del value[member]
        return len(found)

    return remove


def _pop(last: bool) -> Handler:
    def pop(db: Database, words: list[bytes]) -> Reply:
        value = _scores(db, words[0])
        count = integer(words[1]) if len(words) > 1 else 1
        if count < 0 or len(words) > 2:
            raise CommandRefused("ERR value is out of range, must be positive")
        found = value.ordered()[:: -1 if last else 1][:count]
        return list(chain.from_iterable((member, shown(value.pop(member))) for member in found))

    return pop


def _rank(last: bool) -> Handler:
    def rank(db: Database, words: list[bytes]) -> Reply:
        value = _scores(db, words[0])
        scored = len(words) == 3 and words[2].upper() == b"WITHSCORE"
        if len(words) > 2 and not scored:
            raise CommandRefused(SYNTAX)
        if words[1] not in value:
            return None
        position = value.ordered()[:: -1 if last else 1].index(words[1])
        return [position, shown(value[words[1]])] if scored else position

    return rank


def zscan(db: Database, words: list[bytes]) -> Reply:
    cursor, found = page(list(_scores(db, words[0]).items()), lambda pair: pair[0], words[1:])
    return [cursor, list(chain.from_iterable((member, shown(score)) for member, score in found))]


def _score(value: Scores, member: bytes) -> bytes | None:
    return shown(value[member]) if member in value else None


HANDLERS: Mapping[str, Handler] = {
    "ZADD": zadd,
    "ZCARD": lambda db, words: len(_scores(db, words[0])),
    "ZCOUNT": lambda db, words: len(_matching(_scores(db, words[0]), "score", words[1], words[2])),
    "ZLEXCOUNT": lambda db, words: len(_matching(_scores(db, words[0]), "lex", words[1], words[2])),
    "ZSCORE": lambda db, words: _score(_scores(db, words[0]), words[1]),
    "ZMSCORE": lambda db, words: [_score(_scores(db, words[0]), member) for member in words[1:]],
    "ZRANK": _rank(last=False),
    "ZREVRANK": _rank(last=True),
    "ZINCRBY": lambda db, words: zadd(db, [words[0], b"INCR", words[1], words[2]]),
    "ZRANGE": zrange,
    "ZREM": lambda db, words: sum(_scores(db, words[0]).pop(member, None) is not None for member in words[1:]),
    "ZREMRANGEBYRANK": _remove("rank"),
    "ZREMRANGEBYSCORE": _remove("score"),
    "ZREMRANGEBYLEX": _remove("lex"),
    "ZPOPMIN": _pop(last=False),
    "ZPOPMAX": _pop(last=True),
    "ZSCAN": zscan,
}
