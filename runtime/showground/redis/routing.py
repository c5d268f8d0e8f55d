"""Which slot a command belongs to: where the first key of each command stands."""

from __future__ import annotations

from collections.abc import Sequence

from showground.redis.api import Arg
from showground.redis.slots import key_slot, pattern_slot

KEYLESS = frozenset(
    (
        "ACL", "AUTH", "CLIENT", "CLUSTER", "COMMAND", "CONFIG", "DBSIZE", "ECHO", "FLUSHALL", "FLUSHDB", "INFO",
        "LATENCY", "LOLWUT", "PING", "PUBLISH", "ROLE", "SCRIPT", "TIME", "WAIT",
    )
)  # fmt: skip
"""Answered by any node, about itself. `SCRIPT` alone is sent to all."""
SECOND = frozenset(("MEMORY", "OBJECT", "XINFO", "XGROUP", "BITOP", "DEBUG"))
"""A word stands before the key."""
COUNTED = frozenset(("ZUNION", "ZINTER", "ZDIFF", "SINTERCARD", "ZINTERCARD", "LMPOP", "ZMPOP"))
"""The number of keys stands before them."""
SCRIPTED = frozenset(("EVAL", "EVALSHA", "EVAL_RO", "EVALSHA_RO", "FCALL", "FCALL_RO"))
"""A script and the number of keys stand before them."""


def _text(arg: Arg) -> str:
    return (arg.decode("latin-1") if isinstance(arg, bytes) else str(arg)).upper()


def _slot(arg: Arg) -> int:
    return key_slot(arg if isinstance(arg, bytes) else str(arg))


def command_name(command: Sequence[Arg]) -> str:
    return _text(command[0])


def command_slot(command: Sequence[Arg]) -> int | None:
    """The slot of the command's first key; None when any node will do.

    Raises `ValueError` for a SCAN that no hash tag keeps to one slot: one node would answer for all.
    """
    name = _text(command[0])
    if name in KEYLESS:
        return None
    if name == "SCAN":
        match = next((n for n in range(2, len(command) - 1) if _text(command[n]) == "MATCH"), None)
        pattern = command[match + 1] if match is not None else b""
        slot = pattern_slot(pattern if isinstance(pattern, bytes) else str(pattern))
        if slot is None:
            raise ValueError("SCAN sees one node only; use Redis.scan(), or a MATCH with a hash tag")
        return slot
    if name in SCRIPTED:
        return _slot(command[3]) if len(command) > 3 and int(command[2]) else None
    if name in ("XREAD", "XREADGROUP"):
        streams = next((n for n in range(1, len(command) - 1) if _text(command[n]) == "STREAMS"), None)
        return None if streams is None else _slot(command[streams + 1])
    at = 2 if name in SECOND or name in COUNTED else 1
    return _slot(command[at]) if len(command) > at else None
