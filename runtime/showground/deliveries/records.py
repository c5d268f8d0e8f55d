"""How deliveries, outcomes and dead letters are written in Redis: msgpack, as small as it gets, decoded by hosts only."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal

import msgspec

from showground.deliveries.limits import KEPT_RESULT_BYTES
from showground.errors import ShowgroundError
from showground.keys import InstallationId
from showground.model import Delivery, Frozen, Json, Outcome

encode = msgspec.msgpack.Encoder().encode
decode_delivery = msgspec.msgpack.Decoder(Delivery).decode

PENDING = b"0"
"""First byte of a stored delivery that has not ended; the delivery follows."""
ENDED = b"1"
"""First byte of one that has; its outcome follows."""


def packed(data: bytes) -> msgspec.Raw:
    """*data* as msgpack for a script. Redis' cmsgpack knows no `bin` type (Valkey 9.1, Nov 2026), so bytes go as `str`."""
    size = len(data)
    if size < 32:
        return msgspec.Raw(bytes((0xA0 | size,)) + data)
    if size < 256:
        return msgspec.Raw(bytes((0xD9, size)) + data)
    if size < 65536:
        return msgspec.Raw(b"\xda" + size.to_bytes(2) + data)
    return msgspec.Raw(b"\xdb" + size.to_bytes(4) + data)


NOTHING = packed(b"")


class StoredOutcome(msgspec.Struct, frozen=True, array_like=True, omit_defaults=True):
    """An `Outcome` without its installation, which its key names."""

    delivery: str
    status: str
    attempts: int
    started_at_ms: int
    finished_at_ms: int
    result: bytes = b""
    error: Mapping[str, Json] | None = None


class StoredLetter(msgspec.Struct, frozen=True, array_like=True):
    delivery: bytes
    outcome: StoredOutcome


_decode_outcome = msgspec.msgpack.Decoder(StoredOutcome).decode
_decode_letter = msgspec.msgpack.Decoder(StoredLetter).decode


class DeadLetter(Frozen, frozen=True, kw_only=True):
    """A delivery that was given up, and why."""

    delivery: Delivery
    outcome: Outcome

    def to_json(self) -> dict[str, object]:
        """Without the payload: `{id, kind, name, attempts, died_at_ms, created_at_ms, error}`."""
        delivery, outcome = self.delivery, self.outcome
        return {
            "id": delivery.id,
            "installation": delivery.installation,
            "kind": delivery.kind,
            "name": delivery.name,
            "attempts": outcome.attempts,
            "created_at_ms": delivery.created_at_ms,
            "died_at_ms": outcome.finished_at_ms,
            "error": outcome.error,
        }


def error_json(error: ShowgroundError) -> Mapping[str, Json]:
    """The inner object of the error JSON shape, as outcomes carry it."""
    inner: Mapping[str, Json] = error.to_json()["error"]  # type: ignore[assignment]  # the shape is documented there
    return inner


def encode_outcome(
    delivery: str,
    status: Literal["done", "failed", "dead", "skipped"],
    attempts: int,
    started_at_ms: int,
    finished_at_ms: int,
    result: bytes = b"",
    error: ShowgroundError | None = None,
) -> bytes:
    kept = result if len(result) <= KEPT_RESULT_BYTES else b""
    why = None if error is None else error_json(error)
    return encode(StoredOutcome(delivery, status, attempts, started_at_ms, finished_at_ms, kept, why))


def decode_outcome(installation: InstallationId, stored: bytes | memoryview) -> Outcome:
    return _outcome(installation, _decode_outcome(stored))


def encode_letter(delivery: Delivery, outcome: bytes) -> bytes:
    return encode([encode(delivery), msgspec.Raw(outcome)])


def decode_letter(installation: InstallationId, stored: bytes) -> DeadLetter:
    letter = _decode_letter(stored)
    return DeadLetter(delivery=decode_delivery(letter.delivery), outcome=_outcome(installation, letter.outcome))


def _outcome(installation: InstallationId, stored: StoredOutcome) -> Outcome:
    return Outcome(
        delivery=stored.delivery,
        installation=installation,
        status=stored.status,  # type: ignore[arg-type]  # only this module writes it
        attempts=stored.attempts,
        result=stored.result,
        error=stored.error,
        started_at_ms=stored.started_at_ms,
        finished_at_ms=stored.finished_at_ms,
    )
