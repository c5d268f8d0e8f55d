"""Cluster slots: where a key belongs, and which node serves what.

https://valkey.io/topics/cluster-spec/ ("Key distribution model", "Hash tags").
"""

from __future__ import annotations

import binascii
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from showground.redis.address import Address
from showground.redis.api import Reply

SLOTS = 16384
_LITERAL = re.compile(rb"(?:\\.|[^*?\[\\{])*\{(?:\\.|[^*?\[\\}])+\}", re.DOTALL)
"""The part of a glob up to the end of its hash tag, when that holds no wildcard."""
_ESCAPED = re.compile(rb"\\(.)", re.DOTALL)


def hash_tag(key: bytes) -> bytes:
    """What of *key* decides the slot: what stands between the first `{` and the next `}`, if anything does; else all."""
    start = key.find(b"{")
    if start >= 0:
        end = key.find(b"}", start + 1)
        if end > start + 1:
            return key[start + 1 : end]
    return key


def key_slot(key: bytes | str) -> int:
    """The slot of *key*: CRC16 (XMODEM) of its hash tag, modulo 16384."""
    return binascii.crc_hqx(hash_tag(key.encode() if isinstance(key, str) else key), 0) % SLOTS


def by_slot(names: Iterable[str]) -> list[list[str]]:
    """*names* in groups of one slot each."""
    groups: dict[int, list[str]] = {}
    for name in names:
        groups.setdefault(key_slot(name), []).append(name)
    return list(groups.values())


def pattern_slot(pattern: bytes | str) -> int | None:
    """The only slot in which keys that match a glob can be; None when they can be in many."""
    raw = pattern.encode() if isinstance(pattern, str) else pattern
    literal = _LITERAL.match(raw)
    if literal is None:
        return None
    return key_slot(_ESCAPED.sub(rb"\1", literal[0]))


@dataclass(frozen=True, slots=True)
class SlotRange:
    """Slots *first* to *last*, inclusive, and who serves them."""

    first: int
    last: int
    primary: Address
    replicas: tuple[Address, ...] = ()


def parse_slots(reply: Reply, asked: Address) -> list[SlotRange]:
    """Read the answer of CLUSTER SLOTS that *asked* gave: `[[first, last, [host, port, id, …], …], …]`.

    A node that does not know its own address leaves the host empty: it is the one that was asked.
    """

    def address(node: Sequence[Reply]) -> Address:
        host = (node[0] or b"").decode()
        return asked.at(asked.host if host in ("", "?") else host, int(node[1]))

    return [
        SlotRange(int(first), int(last), address(primary), tuple(address(replica) for replica in replicas))
        for first, last, primary, *replicas in reply
    ]


@dataclass(frozen=True, slots=True)
class Redirection:
    """`MOVED 3999 host:port` or `ASK 3999 host:port`."""

    is_ask: bool
    slot: int
    address: Address

    @classmethod
    def read(cls, text: str, asked: Address) -> Redirection | None:
        """None when *text* is no redirection. An empty host is that of the node that was asked."""
        kind, _, rest = text.partition(" ")
        if kind not in ("MOVED", "ASK"):
            return None
        slot, _, where = rest.partition(" ")
        host, _, port = where.rpartition(":")
        return cls(kind == "ASK", int(slot), asked.at(host.strip("[]") or asked.host, int(port)))
