"""What the host and its zygote say to each other: one msgpack map per packet on a SOCK_SEQPACKET pair."""

from __future__ import annotations

from typing import Literal

import msgspec

from showground.model import Frozen, Limits

Level = Literal["none", "process", "confined"]
"""`none`: in the host itself, for debuggers. `process`: own process with limits. `confined`: that, and walled in."""

PACKET_BYTES = 64 * 1024

EXIT_MEMORY = 86
"""Exit code of a worker that ran out of its memory."""
EXIT_CONFINEMENT = 87
"""Exit code of a worker that could not be confined as asked; it has run nothing of the app."""


class Spawn(Frozen, frozen=True, kw_only=True, tag="spawn"):
    """Fork a worker. The packet carries two descriptors: the worker's end of the socket, and the pipe for its output."""

    number: int
    """Chosen by the host; never used twice by one zygote."""
    level: Level
    folder: str
    limits: Limits


class Kill(Frozen, frozen=True, kw_only=True, tag="kill"):
    """End a worker and all of its processes, at once. The zygote does it, because only the parent knows that a process id
    still means the same process."""

    number: int


class Spawned(Frozen, frozen=True, kw_only=True, tag="spawned"):
    number: int
    pid: int


class Refused(Frozen, frozen=True, kw_only=True, tag="refused"):
    """The fork failed."""

    number: int
    reason: str


class Exited(Frozen, frozen=True, kw_only=True, tag="exited"):
    """A worker ended. Exactly one of `code` and `signal` is set."""

    number: int
    code: int | None = None
    signal: int | None = None
    max_rss_kb: int = 0
    cpu_s: float = 0.0
    strays: int = 0
    """Processes that the worker had left behind, and that were killed."""


class Hello(Frozen, frozen=True, kw_only=True, tag="hello"):
    """First packet of a zygote: the SDK is imported."""

    pid: int


Order = Spawn | Kill
Report = Hello | Spawned | Refused | Exited

encode = msgspec.msgpack.Encoder().encode
decode_order = msgspec.msgpack.Decoder(Order).decode
decode_report = msgspec.msgpack.Decoder(Report).decode
