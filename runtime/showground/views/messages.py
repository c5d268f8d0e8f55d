"""What the host says to a browser (docs/browser-protocol.md), put together from bytes that it does not decode."""

from __future__ import annotations

import msgspec

from showground.errors import ShowgroundError
from showground.views.records import ViewResult

_encode = msgspec.json.Encoder().encode

PONG = b'{"type":"pong"}'


def update(result: ViewResult, base: int, rev: int, ack: int | None) -> bytes | None:
    """The `update` for one view, or None when there is nothing to tell."""
    head = _shown(result, base, rev)
    if result.effects is not None:
        head = b'%b,"effects":%b' % (head, result.effects)
    if ack is not None:
        return b'%b,"ack":%d}' % (head, ack)
    return None if rev == base and not _shows(result) and result.effects is None else head + b"}"


def shown(result: ViewResult, base: int, rev: int, seq: int) -> bytes | None:
    """What is on the screen after the browser's event *seq*, before any of it is kept; None when that is what it was."""
    return b'%b,"seq":%d}' % (_shown(result, base, rev), seq) if rev != base or _shows(result) else None


def kept(effects: bytes | None, rev: int, ack: int) -> bytes:
    """What was shown is in the snapshot. Effects come with it, since what is not kept may be run, and cause them, again."""
    more = b"" if effects is None else b',"effects":%b' % effects
    return b'{"type":"update","rev":%d,"base":%d%b,"ack":%d}' % (rev, rev, more, ack)


def _shows(result: ViewResult) -> bool:
    return result.tree is not None or result.patch is not None or result.intervals is not None


def _shown(result: ViewResult, base: int, rev: int) -> bytes:
    parts = [b'{"type":"update","rev":%d,"base":%d' % (rev, base)]
    if result.tree is not None:
        parts.append(b',"tree":%b' % result.tree)
    if result.patch is not None:
        parts.append(b',"patch":%b' % result.patch)
    if result.intervals is not None:
        parts.append(b',"intervals":%b' % result.intervals)
    return b"".join(parts)


def welcome(
    view: str,
    resume: str,
    rev: int,
    ack: int,
    resumed: bool,
    tree: bytes | None,
    intervals: bytes | None,
    limits: bytes,
) -> bytes:
    parts = [
        b'{"type":"welcome","view":%b,"resume":%b,"rev":%d,"ack":%d,"resumed":%b'
        % (_encode(view), _encode(resume), rev, ack, b"true" if resumed else b"false")
    ]
    if tree is not None:
        parts.append(b',"tree":%b' % tree)
    if intervals is not None:
        parts.append(b',"intervals":%b' % intervals)
    parts.append(b',"limits":%b}' % limits)
    return b"".join(parts)


def failed(error: ShowgroundError) -> bytes:
    return b'{"type":"error",%b' % _encode(error.to_json())[1:]


def bye(reason: str, retry_after: float | None) -> bytes:
    return _encode({"type": "bye", "reason": reason, "retry_after": retry_after})


def error_effect(message: str) -> bytes:
    """An `effects` list that tells the viewer that an event of theirs came to nothing."""
    return _encode([{"type": "error", "message": message}])
