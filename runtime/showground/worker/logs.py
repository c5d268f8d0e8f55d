"""What an app prints and logs becomes LOG frames that carry the invocation during which it was written."""

from __future__ import annotations

import io
import logging
import time
from collections.abc import Callable
from contextvars import ContextVar

LINE_BYTES = 8 * 1024
MARK = " … (cut)"

Emit = Callable[[str | None, str, str, str, int], None]
"""(invocation id, level, stream, text, milliseconds since 1970)"""

current_invocation: ContextVar[str | None] = ContextVar("current_invocation", default=None)


def cut(text: str, limit: int = LINE_BYTES) -> str:
    """*text*, at most *limit* bytes of UTF-8 long, with a mark where something is missing."""
    if len(text) * 4 <= limit:
        return text
    data = text.encode("utf-8", "replace")
    if len(data) <= limit:
        return text if text.isascii() else data.decode()
    return data[: limit - len(MARK.encode())].decode("utf-8", "ignore") + MARK


class Budget:
    """At most *per_second* records in each second of *clock*; the rest is dropped and counted."""

    def __init__(self, per_second: int, clock: Callable[[], float] = time.monotonic) -> None:
        self._per_second = per_second
        self._clock = clock
        self._second = 0
        self._left = per_second
        self._dropped = 0

    def take(self, count: int = 1) -> bool:
        """Whether *count* records may pass. When not, they count as dropped."""
        second = int(self._clock())
        if second != self._second:
            self._second = second
            self._left = self._per_second
        if self._left < count:
            self._dropped += count
            return False
        self._left -= count
        return True

    def dropped(self) -> int:
        """How many were dropped since the last call, once records pass again; 0 until then."""
        if not self._dropped or (int(self._clock()) == self._second and self._left <= 0):
            return 0
        return self.take_dropped()

    def take_dropped(self) -> int:
        """How many were dropped since the last call."""
        count, self._dropped = self._dropped, 0
        return count


class LineWriter(io.TextIOBase):
    """Stands for `sys.stdout` or `sys.stderr`: each line is one record. Unfinished lines are kept per invocation."""

    def __init__(self, stream: str, level: str, emit: Emit, raw: io.FileIO) -> None:
        self._stream = stream
        self._level = level
        self._emit = emit
        self._partial: dict[str | None, str] = {}
        self.buffer = raw
        """Bytes written here take the raw pipe, without an invocation id."""

    @property
    def encoding(self) -> str:  # type: ignore[override]  # TextIOBase declares a plain attribute
        return "utf-8"

    def writable(self) -> bool:
        return True

    def fileno(self) -> int:
        return self.buffer.fileno()

    def write(self, text: str) -> int:
        invocation = current_invocation.get()
        text = str(text)
        *lines, rest = (self._partial.pop(invocation, "") + text).split("\n")
        now = time.time_ns() // 1_000_000
        for line in lines:
            self._emit(invocation, self._level, self._stream, line, now)
        if rest:
            self._partial[invocation] = rest[: LINE_BYTES + 1]  # one too many, so that it is cut with a mark
        return len(text)

    def finish(self, invocation: str | None) -> None:
        """The invocation ended: what it left without a line end is a line."""
        rest = self._partial.pop(invocation, None)
        if rest is not None:
            self._emit(invocation, self._level, self._stream, rest, time.time_ns() // 1_000_000)


class FrameHandler(logging.Handler):
    """Root handler: the app's `logging` goes the same way, with its own level."""

    def __init__(self, emit: Emit) -> None:
        super().__init__()
        self._emit_record = emit
        self.setFormatter(logging.Formatter("%(name)s: %(message)s"))

    def emit(self, record: logging.LogRecord) -> None:
        try:
            text = self.format(record)
        except Exception:  # the app's own arguments may refuse to be formatted
            text = f"{record.name}: {record.msg!r} (its arguments could not be formatted)"
        self._emit_record(
            current_invocation.get(), record.levelname.lower(), "logging", text, int(record.created * 1000)
        )
