"""How many clients a host may have: each costs it an open file, of which the kernel allows a process only so many.

A host that reached that limit could neither take a connection, nor reach Redis again, nor fork a worker. So it keeps some back.
"""

from __future__ import annotations

import resource
from dataclasses import dataclass
from typing import Self

WANTED = 65_536
KEPT_BACK = 128
"""For Redis, workers, bundles and logs. A host with 30 workers had 75 open files besides its clients (2026-11-24)."""
FOR_OTHERS = 128
"""For requests, while live posts take all they may: an answer that a host is full needs a connection too."""


@dataclass(frozen=True, slots=True)
class Capacity:
    connections: int
    """In all."""
    views: int
    """Of them, those of live posts."""

    @classmethod
    def now(cls) -> Self:
        """By the limit of this process."""
        soft, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
        return cls.of(WANTED if soft == resource.RLIM_INFINITY else soft)

    @classmethod
    def of(cls, limit: int) -> Self:
        """Of a small limit a quarter each is kept for what stands above."""
        connections = limit - min(KEPT_BACK, limit // 4)
        return cls(connections, connections - min(FOR_OTHERS, limit // 4))


def attainable() -> int:
    """The limit that `raise_limit` would make."""
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    return WANTED if hard == resource.RLIM_INFINITY else min(WANTED, hard)


def raise_limit() -> int:
    """As far as the hard limit lets us; the usual soft one of 1,024 is for programs that use select(2). Returns the new one."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = attainable()
    if soft != resource.RLIM_INFINITY and soft < wanted:
        resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))
        return wanted
    return soft
