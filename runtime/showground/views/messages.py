"""What the host says to a browser (docs/browser-protocol.md), put together from bytes that it does not decode."""

from __future__ import annotations

import msgspec

from showground.errors import ShowgroundError
from showground.views.records import ViewResult

_encode = msgspec.json.Encoder().encode

PONG = b'{"type":"pong"}'


def update(result: ViewResult, base: int, rev: int, ack: int | None) -> bytes | None:
    """The `update` for one view, or None when there is nothing to tell."""
    parts = [b'{"type":"update","rev":%d,"base":%d' % (rev, base)]
    for name, value in (
        (b"tree", result.tree),
        (b"patch", result.patch),
        (b"effects", result.effects),
        (b"intervals", result.intervals),
    ):
        if value is not None:
            parts.append(b',"%b":%b' % (name, value))
    if len(parts) == 1 and ack is None and rev == base:
        return None
    if ack is not None:
        parts.append(b',"ack":%d' % ack)
    parts.append(b"}")
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
