"""Keys and strings in memory."""

from __future__ import annotations

from collections.abc import Mapping

from showground.redis.api import CommandRefused, Reply
from showground_redis_kv.memory.database import (
    SYNTAX,
    TYPES,
    Database,
    Handler,
    glob,
    integer,
    page,
    total,
)  # fmt: skip

_MOMENTS = {b"EX": (1000, True), b"PX": (1, True), b"EXAT": (1000, False), b"PXAT": (1, False)}


def _moment(db: Database, option: bytes, word: bytes) -> int:
    factor, relative = _MOMENTS[option]
    value = integer(word) * factor
    if value <= 0:
        raise CommandRefused("ERR invalid expire time")
    return db.now_ms() + value if relative else value


def _put(db: Database, key: bytes, value: bytes) -> None:
    db.values[key] = value
    db.expires.pop(key, None)


def set_(db: Database, words: list[bytes]) -> Reply:
    key, value, *rest = words
    options: set[bytes] = set()
    expires: int | None = None
    while rest:
        option = rest.pop(0).upper()
        if option in _MOMENTS and rest and expires is None:
            expires = _moment(db, option, rest.pop(0))
        elif option in (b"NX", b"XX", b"GET", b"KEEPTTL"):
            options.add(option)
        else:
            raise CommandRefused(SYNTAX)
    if {b"NX", b"XX"} <= options or (expires is not None and b"KEEPTTL" in options):
        raise CommandRefused(SYNTAX)
    old = db.get(key, bytes) if b"GET" in options else db.find(key)
    refused = (b"NX" in options and old is not None) or (b"XX" in options and old is None)
    if not refused:
        kept = db.expires.get(key) if b"KEEPTTL" in options else expires
        _put(db, key, value)
        if kept is not None:
            db.expires[key] = kept
    if b"GET" in options:
        return old
    return None if refused else b"OK"


def setnx(db: Database, words: list[bytes]) -> Reply:
    return int(set_(db, [*words, b"NX"]) is not None)


def getset(db: Database, words: list[bytes]) -> Reply:
    return set_(db, [*words, b"GET"])


def getdel(db: Database, words: list[bytes]) -> Reply:
    value = db.get(words[0], bytes)
    db.drop(words[0])
    return value


def getex(db: Database, words: list[bytes]) -> Reply:
    key, *rest = words
    value = db.get(key, bytes)
    if rest and rest[0].upper() == b"PERSIST" and len(rest) == 1:
        db.expires.pop(key, None)
    elif rest:
        if len(rest) != 2 or rest[0].upper() not in _MOMENTS:
            raise CommandRefused(SYNTAX)
        moment = _moment(db, rest[0].upper(), rest[1])
        if value is not None:
            db.expires[key] = moment
    return value


def mget(db: Database, words: list[bytes]) -> Reply:
    return [value if isinstance(value := db.find(key), bytes) else None for key in words]


def mset(db: Database, words: list[bytes]) -> Reply:
    for key, value in zip(words[::2], words[1::2], strict=True):
        _put(db, key, value)
    return b"OK"


def msetnx(db: Database, words: list[bytes]) -> Reply:
    if any(db.find(key) is not None for key in words[::2]):
        return 0
    mset(db, words)
    return 1


def append(db: Database, words: list[bytes]) -> Reply:
    db.values[words[0]] = (db.get(words[0], bytes) or b"") + words[1]
    return len(db.values[words[0]])


def getrange(db: Database, words: list[bytes]) -> Reply:
    value = db.get(words[0], bytes) or b""
    start, end = integer(words[1]), integer(words[2])
    if start < 0 and end < 0 and start > end:
        return b""
    # Redis takes an end before the first byte for the first byte (t_string.c, getrangeCommand); lists do not
    start, end = (max(0, at + len(value) if at < 0 else at) for at in (start, end))
    return value[start : end + 1]


def setrange(db: Database, words: list[bytes]) -> Reply:
    key, offset, part = words[0], integer(words[1]), words[2]
    if offset < 0:
        raise CommandRefused("ERR offset is out of range")
    value = db.get(key, bytes) or b""
    if part:
        value = value.ljust(offset, b"\0")
        db.values[key] = value = value[:offset] + part + value[offset + len(part) :]
    return len(value)


def _add(db: Database, key: bytes, amount: int) -> int:
    value = integer(b"0" if (old := db.get(key, bytes)) is None else old) + amount
    if not -(2**63) <= value < 2**63:
        raise CommandRefused("ERR increment or decrement would overflow")
    db.values[key] = b"%d" % value
    return value


def incrbyfloat(db: Database, words: list[bytes]) -> Reply:
    old = db.get(words[0], bytes)
    db.values[words[0]] = total(b"0" if old is None else old, words[1], "ERR value is not a valid float")
    return db.values[words[0]]


def _deadline(factor: int, relative: bool) -> Handler:
    def expire(db: Database, words: list[bytes]) -> Reply:
        key, moment = words[0], integer(words[1]) * factor
        moment += db.now_ms() if relative else 0
        if db.find(key) is None:
            return 0
        old = db.expires.get(key)
        for option in (word.upper() for word in words[2:]):
            if option not in (b"NX", b"XX", b"GT", b"LT"):
                raise CommandRefused(f"ERR Unsupported option {option.decode('latin-1')}")
            refused = {
                b"NX": old is not None,
                b"XX": old is None,
                b"GT": old is None or moment <= old,
                b"LT": old is not None and moment >= old,
            }
            if refused[option]:
                return 0
        db.expires[key] = moment
        db.find(key)
        return 1

    return expire


def _left(factor: int, relative: bool) -> Handler:
    def left(db: Database, words: list[bytes]) -> Reply:
        if db.find(words[0]) is None:
            return -2
        expires = db.expires.get(words[0])
        if expires is None:
            return -1
        return (expires - (db.now_ms() if relative else 0) + factor // 2) // factor

    return left


def rename(db: Database, words: list[bytes]) -> Reply:
    source, target = words
    value, expires = db.find(source), db.expires.get(source)
    if value is None:
        raise CommandRefused("ERR no such key")
    if source == target:
        return b"OK"
    db.drop(source)
    _put(db, target, value)
    if expires is not None:
        db.expires[target] = expires
    return b"OK"


def renamenx(db: Database, words: list[bytes]) -> Reply:
    if db.find(words[0]) is not None and db.find(words[1]) is not None:
        return 0
    rename(db, words)
    return 1


def scan(db: Database, words: list[bytes]) -> Reply:
    options = dict(zip((word.upper() for word in words[1::2]), words[2::2], strict=False))
    wanted = glob(options[b"MATCH"])
    names = [name for name in db.names(b"") if wanted.fullmatch(name)]
    kind = options.get(b"TYPE")
    if kind is not None:
        names = [name for name in names if TYPES[type(db.values[name])] == kind.lower()]
    return list(page(names, lambda name: name, words))


def _bits(kind: bytes, word: bytes) -> tuple[bool, int, int]:
    """Whether signed, how wide, and the offset in bits."""
    letter, width = kind[:1].lower(), kind[1:]
    if letter not in (b"u", b"i") or not width.isdigit() or not 1 <= int(width) <= 64 - (letter == b"u"):
        raise CommandRefused(
            "ERR Invalid bitfield type. Use something like i16 u8. Note that u64 is not supported but i64 is."
        )
    times = int(width) if word.startswith(b"#") else 1
    return (
        letter == b"i",
        int(width),
        integer(word.removeprefix(b"#"), "ERR bit offset is not an integer or out of range") * times,
    )


def bitfield(db: Database, words: list[bytes]) -> Reply:
    key, *rest = words
    data = db.get(key, bytes) or b""
    replies: list[int | None] = []
    overflow, written = b"WRAP", False
    while rest:
        name = rest.pop(0).upper()
        if name == b"OVERFLOW" and rest:
            overflow = rest.pop(0).upper()
            if overflow not in (b"WRAP", b"SAT", b"FAIL"):
                raise CommandRefused("ERR Invalid OVERFLOW type specified")
            continue
        if name not in (b"GET", b"SET", b"INCRBY") or len(rest) < (2 if name == b"GET" else 3):
            raise CommandRefused(SYNTAX)
        signed, width, offset = _bits(rest.pop(0), rest.pop(0))
        size = max(len(data), (offset + width + 7) // 8)
        whole = int.from_bytes(data.ljust(size, b"\0"))
        shift = size * 8 - offset - width
        low, high = (-(1 << (width - 1)), (1 << (width - 1)) - 1) if signed else (0, (1 << width) - 1)
        old = (whole >> shift) & ((1 << width) - 1)
        old -= (1 << width) if old > high else 0
        if name == b"GET":
            replies.append(old)
            continue
        amount = integer(rest.pop(0))
        new: int | None = amount if name == b"SET" else old + amount
        assert new is not None
        if not low <= new <= high:
            if overflow == b"SAT":
                new = low if new < low else high
            elif overflow == b"FAIL":
                new = None
            else:
                new = (new - low) % (1 << width) + low
        written = True
        if new is None:
            data = data.ljust(size, b"\0")
            replies.append(None)
            continue
        mask = ((1 << width) - 1) << shift
        data = ((whole & ~mask) | ((new << shift) & mask)).to_bytes(size)
        replies.append(old if name == b"SET" else new)
    if written:
        db.values[key] = data
    return replies


HANDLERS: Mapping[str, Handler] = {
    "TYPE": lambda db, words: TYPES[type(value)] if (value := db.find(words[0])) is not None else b"none",
    "EXISTS": lambda db, words: sum(db.find(key) is not None for key in words),
    "DEL": lambda db, words: sum(db.find(key) is not None and db.drop(key) for key in words),
    "UNLINK": lambda db, words: sum(db.find(key) is not None and db.drop(key) for key in words),
    "PERSIST": lambda db, words: int(db.find(words[0]) is not None and db.expires.pop(words[0], None) is not None),
    "TTL": _left(1000, True),
    "PTTL": _left(1, True),
    "EXPIRETIME": _left(1000, False),
    "PEXPIRETIME": _left(1, False),
    "EXPIRE": _deadline(1000, True),
    "PEXPIRE": _deadline(1, True),
    "EXPIREAT": _deadline(1000, False),
    "PEXPIREAT": _deadline(1, False),
    "RENAME": rename,
    "RENAMENX": renamenx,
    "SCAN": scan,
    "GET": lambda db, words: db.get(words[0], bytes),
    "STRLEN": lambda db, words: len(db.get(words[0], bytes) or b""),
    "SET": set_,
    "SETNX": setnx,
    "SETEX": lambda db, words: set_(db, [words[0], words[2], b"EX", words[1]]),
    "PSETEX": lambda db, words: set_(db, [words[0], words[2], b"PX", words[1]]),
    "GETSET": getset,
    "GETDEL": getdel,
    "GETEX": getex,
    "MGET": mget,
    "MSET": mset,
    "MSETNX": msetnx,
    "APPEND": append,
    "GETRANGE": getrange,
    "SETRANGE": setrange,
    "BITFIELD": bitfield,
    "INCR": lambda db, words: _add(db, words[0], 1),
    "DECR": lambda db, words: _add(db, words[0], -1),
    "INCRBY": lambda db, words: _add(db, words[0], integer(words[1])),
    "DECRBY": lambda db, words: _add(db, words[0], -integer(words[1])),
    "INCRBYFLOAT": incrbyfloat,
}
