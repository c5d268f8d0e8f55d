"""Streams in memory."""

from __future__ import annotations

from collections.abc import Mapping

from showground.redis.api import CommandRefused, Reply
from showground_redis_kv.memory.database import SYNTAX, Database, EntryId, Handler, Stream, integer

_LAST = 2**64 - 1
_BAD_ID = "ERR Invalid stream ID specified as stream command argument"


def _stream(db: Database, key: bytes) -> Stream:
    return db.get(key, Stream) or Stream()


def _parsed(word: bytes, missing: int) -> EntryId:
    first, dash, second = word.partition(b"-")
    if not first.isdigit() or (dash and not second.isdigit()):
        raise CommandRefused(_BAD_ID)
    return int(first), int(second) if dash else missing


def _bound(word: bytes, end: bool) -> EntryId:
    """A bound of a range, made inclusive."""
    if word in (b"-", b"+"):
        return (0, 0) if word == b"-" else (_LAST, _LAST)
    bare = word.removeprefix(b"(")
    first, second = _parsed(bare, _LAST if end else 0)
    if bare == word:
        return first, second
    if end:
        return (first, second - 1) if second else (first - 1, _LAST)
    return first, second + 1


def _shown(entry: EntryId) -> bytes:
    return b"%d-%d" % entry


def _next(db: Database, stream: Stream, word: bytes) -> EntryId:
    if word == b"*":
        return max((db.now_ms(), 0), (stream.last[0], stream.last[1] + 1))
    if word.endswith(b"-*"):
        first = integer(word[:-2], _BAD_ID)
        entry = (first, stream.last[1] + 1 if first == stream.last[0] else 0)
    else:
        entry = _parsed(word, 0)
    if entry == (0, 0):
        raise CommandRefused("ERR The ID specified in XADD must be greater than 0-0")
    if entry <= stream.last:
        raise CommandRefused("ERR The ID specified in XADD is equal or smaller than the target stream top item")
    return entry


def _trim(stream: Stream, words: list[bytes]) -> tuple[int, list[bytes]]:
    """Read `MAXLEN|MINID [=|~] threshold [LIMIT n]`, trim exactly, and return how many went and what follows."""
    kind, *rest = words
    if rest and rest[0] in (b"=", b"~"):
        rest = rest[1:]
    if not rest:
        raise CommandRefused(SYNTAX)
    threshold, *rest = rest
    if rest and rest[0].upper() == b"LIMIT":
        rest = rest[2:]
    if kind.upper() == b"MAXLEN":
        most = integer(threshold)
        gone = sorted(stream.entries)[: max(0, len(stream.entries) - most)]
    else:
        least = _parsed(threshold, 0)
        gone = [entry for entry in stream.entries if entry < least]
    for entry in gone:
        del stream.entries[entry]
    return len(gone), rest


def xadd(db: Database, words: list[bytes]) -> Reply:
    key, *rest = words
    trim: list[bytes] = []
    create = True
    while rest and rest[0].upper() in (b"NOMKSTREAM", b"MAXLEN", b"MINID"):
        if rest[0].upper() == b"NOMKSTREAM":
            create, rest = False, rest[1:]
        else:
            after = _trim(Stream(), rest)[1]
            trim, rest = rest[: len(rest) - len(after)], after
    if len(rest) < 3 or len(rest) % 2 == 0:
        raise CommandRefused("ERR wrong number of arguments for 'xadd' command")
    if not create and db.get(key, Stream) is None:
        return None
    entry = _next(db, _stream(db, key), rest[0])
    stream = db.make(key, Stream)
    stream.entries[entry] = rest[1:]
    stream.last = entry
    if trim:
        _trim(stream, trim)
    return _shown(entry)


def _range(reverse: bool) -> Handler:
    def ranged(db: Database, words: list[bytes]) -> Reply:
        key, first, second, *rest = words
        low, high = (second, first) if reverse else (first, second)
        count = None
        if rest:
            if len(rest) != 2 or rest[0].upper() != b"COUNT":
                raise CommandRefused(SYNTAX)
            count = max(0, integer(rest[1]))
        least, most = _bound(low, end=False), _bound(high, end=True)
        entries = _stream(db, key).entries
        found = sorted((entry for entry in entries if least <= entry <= most), reverse=reverse)[:count]
        return [[_shown(entry), list(entries[entry])] for entry in found]

    return ranged


def xread(db: Database, words: list[bytes]) -> Reply:
    count = None
    while words[0].upper() != b"STREAMS":
        if words[0].upper() != b"COUNT":
            raise CommandRefused(SYNTAX)
        count, words = integer(words[1]) or None, words[2:]
    names = words[1:]
    half = len(names) // 2
    found = []
    for key, word in zip(names[:half], names[half:], strict=True):
        stream = _stream(db, key)
        after = stream.last if word == b"$" else _parsed(word, 0)
        entries = sorted(entry for entry in stream.entries if entry > after)[:count]
        if entries:
            found.append([key, [[_shown(entry), list(stream.entries[entry])] for entry in entries]])
    return found or None


def xdel(db: Database, words: list[bytes]) -> Reply:
    entries = _stream(db, words[0]).entries
    return sum(entries.pop(entry, None) is not None for entry in [_parsed(word, 0) for word in words[1:]])


HANDLERS: Mapping[str, Handler] = {
    "XADD": xadd,
    "XLEN": lambda db, words: len(_stream(db, words[0]).entries),
    "XRANGE": _range(reverse=False),
    "XREVRANGE": _range(reverse=True),
    "XREAD": xread,
    "XDEL": xdel,
    "XTRIM": lambda db, words: _trim(_stream(db, words[0]), words[1:])[0],
}
