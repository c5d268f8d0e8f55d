"""What listeners and views heard, held against what their channel has."""

from __future__ import annotations

from collections.abc import Container, Sequence
from zlib import crc32

LOST_AT_ONCE = 3
"""Messages that one failover may take out of the channel after they were heard, at this load."""


def kept(heard: Sequence[str], there: Container[str]) -> int:
    """How many of *heard* to count when the channel lost the last of them in a failover: all up to the last that is *there*."""
    count = len(heard)
    while count and heard[count - 1] not in there:
        count -= 1
    return count


def digest(numbers: Sequence[int]) -> int:
    """Of what an app heard, as it reckons it (`bundles/ledger`)."""
    found = crc32(b"%d" % numbers[0])
    for number in numbers[1:]:
        found = crc32(b"%d" % number, found)
    return found


def lost_tail(channel: Sequence[int], at: int, count: int, wanted: int) -> int | None:
    """How many of *count* messages, heard from position *at* of *channel* on, the channel has lost since: fewer than
    `LOST_AT_ONCE`, at the end, and with numbers that were given out in order. None when *wanted*, their digest, is not that
    of any such sequence.
    """
    for lost in range(min(LOST_AT_ONCE, count) + 1):
        there = list(channel[at : at + count - lost])
        if len(there) != count - lost:
            continue
        missing = [n for n in range(there[-1] + 1, there[-1] + 100) if n not in channel[at:]] if there else []
        if (lost == 0 or len(missing) >= lost) and there and digest([*there, *missing[:lost]]) == wanted:
            return lost
    return None
