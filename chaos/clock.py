"""A machine's clock that is wrong, and is set while hosts run: the kernel's own belongs to everybody."""

from __future__ import annotations

import mmap
import struct
from pathlib import Path
from typing import Final

from showground.clock import SystemClock

_AHEAD: Final = struct.Struct("=q")
"""The file: by how many milliseconds the clock is ahead."""


class WrongClock(SystemClock):
    """Ahead by what *file* says, at every look; monotonic time is the machine's. Implements `showground.clock.Clock`."""

    def __init__(self, file: Path) -> None:
        with file.open("r+b") as opened:
            self._ahead = mmap.mmap(opened.fileno(), _AHEAD.size, access=mmap.ACCESS_READ)

    def now_ms(self) -> int:
        return super().now_ms() + int(_AHEAD.unpack_from(self._ahead)[0])


def set_clock(file: Path, ahead_s: float) -> None:
    """Set the clock of whoever reads *file*, which is made when it is not there. A negative value puts it behind."""
    file.touch()
    with file.open("r+b") as opened:
        opened.write(_AHEAD.pack(round(ahead_s * 1000)))
