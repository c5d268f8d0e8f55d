"""Log records of apps, and the pipe that carries what an app writes past its streams: from C code, or from child processes."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Callable
from dataclasses import dataclass

from showground.clock import Clock
from showground.keys import InstallationId
from showground.model import AppVersion
from showground.worker.logs import LINE_BYTES, Budget, cut

READ_BYTES = 64 * 1024
BYTES_PER_SECOND = 16 * 1024 * 1024
"""Beyond this the pipe is not read until the next second, so that a flood slows the app and not the host."""
FLOOD = 20
"""Times its limit per second that a worker may send log frames before it is ended."""


@dataclass(frozen=True, slots=True)
class LogRecord:
    """One line for the log of an installation; of the whole app version where `installation` is None."""

    at_ms: int
    app: str
    version: str
    installation: InstallationId | None
    invocation: str | None
    level: str
    """debug, info, warning, error or critical."""
    stream: str
    """stdout, stderr, logging, traceback, output (the raw pipe) or host (said by Showground about the app)."""
    text: str
    """At most 8 KB of UTF-8, with a mark where more was."""


OnLog = Callable[[LogRecord], None]


class AppLog:
    """Makes the records of one worker: bounded in rate, and each under an invocation that truly runs there."""

    def __init__(self, app: AppVersion, clock: Clock, on_log: OnLog) -> None:
        self._app = app
        self._clock = clock
        self._on_log = on_log
        self._budget = Budget(app.limits.log_lines_per_s, clock.monotonic)
        self._frames = Budget(FLOOD * app.limits.log_lines_per_s, clock.monotonic)

    def line(
        self,
        installation: InstallationId | None,
        invocation: str | None,
        level: str,
        stream: str,
        text: str,
        at_ms: int = 0,
    ) -> None:
        """Something that the app wrote; dropped and counted past its limit per second."""
        if not self._budget.take():
            return
        self.tell_dropped()
        self._record(installation, invocation, level, stream, text, at_ms)

    def floods(self) -> bool:
        """Count a frame. Whether a worker sends what the SDK would have dropped itself, so much that reading it hurts the host;
        what an app writes past the SDK comes by a pipe, and holds up nobody but itself."""
        return not self._frames.take()

    def host(self, installation: InstallationId | None, level: str, text: str) -> None:
        """Something that Showground says about the app; never dropped."""
        self._record(installation, None, level, "host", text, 0)

    def tell_dropped(self, final: bool = False) -> None:
        """Say how many records were dropped, once some pass again (or, with *final*, at the end of the worker)."""
        count = self._budget.take_dropped() if final else self._budget.dropped()
        if count:
            limit = self._app.limits.log_lines_per_s
            self.host(None, "warning", f"{count} log records were dropped: over {limit} in a second")

    def _record(
        self,
        installation: InstallationId | None,
        invocation: str | None,
        level: str,
        stream: str,
        text: str,
        at_ms: int,
    ) -> None:
        self._on_log(
            LogRecord(
                at_ms or self._clock.now_ms(),
                self._app.app,
                self._app.version,
                installation,
                invocation,
                level,
                stream,
                cut(text),
            )
        )


class OutputPipe:
    """Reads the raw output of one worker, line by line, until it closes."""

    def __init__(self, descriptor: int, log: AppLog) -> None:
        os.set_blocking(descriptor, False)
        self._descriptor = descriptor
        self._log = log
        self._loop = asyncio.get_running_loop()
        self._rest = b""
        self._second = 0
        self._read = 0
        self._resume: asyncio.TimerHandle | None = None
        self._open = True
        self._loop.add_reader(descriptor, self._readable)

    def _readable(self) -> None:
        now = self._loop.time()
        if int(now) != self._second:
            self._second, self._read = int(now), 0
        if self._read > BYTES_PER_SECOND:
            self._loop.remove_reader(self._descriptor)
            self._resume = self._loop.call_at(int(now) + 1, self._loop.add_reader, self._descriptor, self._readable)
            return
        if not self._take():
            self.close()

    def _take(self) -> bool:
        """Read once; False at the end."""
        try:
            data = os.read(self._descriptor, READ_BYTES)
        except (BlockingIOError, InterruptedError):
            return True
        except OSError:
            return False
        if not data:
            return False
        self._read += len(data)
        *lines, rest = (self._rest + data).split(b"\n")
        # a line without end is told in parts of its largest length
        while len(rest) > LINE_BYTES:
            lines.append(rest[:LINE_BYTES])
            rest = rest[LINE_BYTES:]
        self._rest = rest
        for line in lines:
            self._log.line(None, None, "info", "output", line[: LINE_BYTES + 1].decode("utf-8", "replace"))
        return True

    def close(self) -> None:
        """Read what is there already, and close. Idempotent."""
        if not self._open:
            return
        self._open = False
        if self._resume is not None:
            self._resume.cancel()
        self._loop.remove_reader(self._descriptor)
        before = -1
        while self._read != before and self._read < 2 * BYTES_PER_SECOND:
            before = self._read
            if not self._take():
                break
        if self._rest:
            self._log.line(None, None, "info", "output", self._rest.decode("utf-8", "replace"))
        os.close(self._descriptor)
        self._log.tell_dropped(final=True)
