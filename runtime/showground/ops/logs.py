"""What apps print: kept per installation in a bounded Redis stream, readable and followable on every host.

Lines are written in batches behind the app's back, so that logging never slows an app and a flood of lines never fills the
host: when the buffer is full, the newest lines are dropped, counted, and the count is logged in their place.
What belongs to a version as a whole (its code did not load) is in a stream of the app, and is shown with each installation's.
"""

from __future__ import annotations

import asyncio
import logging
from collections import Counter, deque
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Iterable, Sequence
from contextlib import AsyncExitStack
from types import TracebackType
from typing import Protocol, Self

import msgspec

from showground.clock import Clock
from showground.errors import ShowgroundError
from showground.keys import InstallationId, KeySpace, split_installation
from showground.model import Frozen
from showground.ops.redaction import Redactor
from showground.redis.api import Arg, CommandRefused, Redis
from showground.tasks import Tasks

log = logging.getLogger("showground.ops.logs")

LEVELS = ("debug", "info", "warning", "error", "critical")
MAX_LINES = 10_000
"""Per stream, give or take a node of Redis' own (about a hundred lines)."""
MAX_AGE_S = 7 * 86400.0
BUFFER_LINES = 10_000
BATCH_LINES = 500
BATCH_S = 0.05
READ_LINES = 500
CLOCK_SKEW_MS = 60_000
FOLLOW_POLL_S = 5.0
"""A follower looks by itself this often, in case an announcement was lost."""


class Record(Protocol):
    """One line, as the supervisor hands it over; of the whole version where `installation` is None."""

    @property
    def at_ms(self) -> int: ...
    @property
    def app(self) -> str: ...
    @property
    def version(self) -> str: ...
    @property
    def installation(self) -> InstallationId | None: ...
    @property
    def invocation(self) -> str | None: ...
    @property
    def level(self) -> str: ...
    @property
    def stream(self) -> str: ...
    @property
    def text(self) -> str: ...


class LogLine(Frozen, frozen=True, kw_only=True):
    at_ms: int
    level: str
    text: str
    version: str = ""
    invocation: str | None = None
    stream: str = "stdout"


class LogFilter(Frozen, frozen=True, kw_only=True):
    """Which lines are wanted."""

    since_ms: int = 0
    level: str = "debug"
    """This level and all above it."""
    invocation: str | None = None

    def admits(self, line: LogLine) -> bool:
        return (
            line.at_ms >= self.since_ms
            and _rank(line.level) >= _rank(self.level)
            and (self.invocation is None or line.invocation == self.invocation)
        )


class AppLogs:
    """Use as an async context manager: leaving it writes what is buffered. `write` is the supervisor's `on_log`."""

    def __init__(
        self,
        redis: Redis,
        keys: KeySpace,
        clock: Clock,
        redactor: Redactor,
        *,
        max_lines: int = MAX_LINES,
        max_age_s: float = MAX_AGE_S,
        buffer_lines: int = BUFFER_LINES,
        on_drop: Callable[[str, int], None] | None = None,
    ) -> None:
        self._redis = redis
        self._keys = keys
        self._clock = clock
        self._redactor = redactor
        self._max_lines = max_lines
        self._max_age_ms = int(max_age_s * 1000)
        self._buffer: deque[tuple[str, LogLine]] = deque()
        self._buffer_lines = buffer_lines
        self._dropped: Counter[str] = Counter()
        self._on_drop = on_drop
        self._wake = asyncio.Event()
        self._encode = msgspec.msgpack.Encoder().encode
        self._decode = msgspec.msgpack.Decoder(LogLine).decode
        self._exits = AsyncExitStack()

    async def __aenter__(self) -> Self:
        tasks = await self._exits.enter_async_context(Tasks())
        tasks.keep("app logs: write", self._write_forever, self._clock.sleep)
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._exits.aclose()
        while self._buffer or self._dropped:
            if not await self._flush():
                log.warning("%s log lines of apps are lost: Redis does not answer", len(self._buffer))
                return

    # --- writing ---

    def write(self, record: Record) -> None:
        """Take one line; never blocks. Secrets are taken out before it is kept anywhere."""
        key = self._app_key(record.app) if record.installation is None else self._key(record.installation)
        if len(self._buffer) >= self._buffer_lines:
            self._dropped[key] += 1
            if self._on_drop is not None:
                self._on_drop(record.app, 1)
            return
        line = LogLine(
            at_ms=record.at_ms,
            level=record.level if record.level in LEVELS else "info",
            text=self._redactor.text(record.text),
            version=record.version,
            invocation=record.invocation,
            stream=record.stream,
        )
        self._buffer.append((key, line))
        self._wake.set()

    async def flush(self) -> None:
        """Write what is buffered now."""
        await self._flush()

    async def _write_forever(self) -> None:
        while True:
            await self._wake.wait()
            self._wake.clear()
            await self._clock.sleep(BATCH_S)
            while self._buffer or self._dropped:
                if not await self._flush():
                    await self._clock.sleep(1.0)

    async def _flush(self) -> bool:
        """One batch to Redis; False when Redis was away and the batch is back in the buffer."""
        batch = [self._buffer.popleft() for _ in range(min(BATCH_LINES, len(self._buffer)))]
        dropped, self._dropped = self._dropped, Counter()
        lines = [*batch, *((key, self._drop_line(count)) for key, count in dropped.items())]
        if not lines:
            return True
        oldest = self._clock.now_ms() - self._max_age_ms
        commands: list[Sequence[Arg]] = []
        for key, line in lines:
            commands.append(("XADD", key, "MAXLEN", "~", self._max_lines, "*", "r", self._encode(line)))
        for key in dict.fromkeys(key for key, _ in lines):
            commands.append(("XTRIM", key, "MINID", "~", max(0, oldest)))
            commands.append(("PEXPIRE", key, self._max_age_ms))
            commands.append((self._redis.publish_command, key, b""))
        try:
            replies = await self._redis.pipeline(commands)
        except ShowgroundError as error:
            log.debug("log lines wait: %s", error)
            self._buffer.extendleft(reversed(batch))
            self._dropped.update(dropped)
            return False
        refused = next((reply for reply in replies if isinstance(reply, CommandRefused)), None)
        if refused is not None:
            log.error("Redis refuses log lines of apps: %s", refused)
        return True

    def _drop_line(self, count: int) -> LogLine:
        return LogLine(
            at_ms=self._clock.now_ms(),
            level="warning",
            text=f"{count} lines were dropped here: more was printed than could be kept",
            stream="host",
        )

    # --- reading ---

    async def read(self, installation: InstallationId, wanted: LogFilter, limit: int = 1000) -> Sequence[LogLine]:
        """The newest *limit* lines that *wanted* admits, oldest first."""
        found: list[LogLine] = []
        for key in self._sources(installation):
            found += await self._newest(key, wanted, limit)
        found.sort(key=lambda line: line.at_ms)
        return found[-limit:]

    async def follow(
        self, installation: InstallationId, wanted: LogFilter, limit: int = 1000
    ) -> AsyncGenerator[LogLine, None]:
        """The lines that `read` gives, then each new one as it comes, from every host, until the caller stops.

        In the order of writing per stream; nothing twice, nothing left out, unless a stream outgrows its bound meanwhile.
        """
        news = asyncio.Event()
        async with self._redis.subscriber(
            lambda channel, payload: news.set(), lambda channels: news.set()
        ) as subscriber:
            keys = self._sources(installation)
            for key in keys:
                await subscriber.subscribe(key)
            last: dict[str, str] = {}
            for key in keys:
                newest = await self._redis.call("XREVRANGE", key, "+", "-", "COUNT", 1)
                last[key] = bytes(newest[0][0]).decode() if newest else "0-0"
            found: list[LogLine] = []
            for key in keys:
                found += await self._newest(key, wanted, limit, last[key])
            found.sort(key=lambda line: line.at_ms)
            for line in found[-limit:]:
                yield line
            while True:
                news.clear()
                try:
                    for key in keys:
                        async for line in self._after(key, last):
                            if wanted.admits(line):
                                yield line
                except ShowgroundError as error:
                    if not error.kind.temporary:
                        raise
                    await self._clock.sleep(1.0)  # Redis is away; `last` says where to go on when it is back
                    news.set()
                try:
                    async with asyncio.timeout(FOLLOW_POLL_S):
                        await news.wait()
                except TimeoutError:
                    pass

    async def clear(self, installation: InstallationId) -> None:
        """Forget the installation's lines."""
        await self._redis.call("DEL", self._key(installation))

    async def _newest(self, key: str, wanted: LogFilter, limit: int, upto: str = "+") -> list[LogLine]:
        found: list[LogLine] = []
        end = upto
        # Entries are named by Redis' clock, lines carry the host's: what is near the edge is looked at, too.
        start = max(0, wanted.since_ms - CLOCK_SKEW_MS)
        while len(found) < limit:
            entries = await self._redis.call("XREVRANGE", key, end, start, "COUNT", READ_LINES)
            found += [line for line in self._lines(entries) if wanted.admits(line)]
            if len(entries) < READ_LINES:
                break
            end = f"({bytes(entries[-1][0]).decode()}"
        return found[:limit][::-1]

    async def _after(self, key: str, last: dict[str, str]) -> AsyncIterator[LogLine]:
        while True:
            entries = await self._redis.call("XRANGE", key, f"({last[key]}", "+", "COUNT", READ_LINES)
            for entry in entries:
                last[key] = bytes(entry[0]).decode()
                for line in self._lines([entry]):
                    yield line
            if len(entries) < READ_LINES:
                return

    def _lines(self, entries: Iterable[tuple[bytes, Sequence[bytes]]]) -> list[LogLine]:
        return [self._decode(fields[1]) for _, fields in entries]

    def _key(self, installation: InstallationId) -> str:
        return self._keys.of(installation, "logs")

    def _app_key(self, app: str) -> str:
        return self._keys.host("app", app, "logs")

    def _sources(self, installation: InstallationId) -> tuple[str, str]:
        return self._key(installation), self._app_key(split_installation(installation)[0])


def _rank(level: str) -> int:
    return LEVELS.index(level) if level in LEVELS else 1
