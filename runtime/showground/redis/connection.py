"""The connection that everybody shares: always on its way back, so that a call only ever waits for a wire that works."""

from __future__ import annotations

import asyncio
import logging
import random
from collections.abc import Awaitable, Callable, Sequence

from showground.errors import ShowgroundError
from showground.redis.api import Arg, CommandRefused, Reply
from showground.redis.pending import unavailable_now
from showground.redis.wire import MAX_PENDING, Wire
from showground.soon import OnEnd
from showground.tasks import Tasks

log = logging.getLogger("showground.redis")

FIRST_PAUSE_S = 0.05
LONGEST_PAUSE_S = 2.0


def checked(reply: Reply) -> Reply:
    """*reply*, unless it says that the server cannot work just now: then `store_unavailable` is raised."""
    if isinstance(reply, CommandRefused) and reply.is_temporary:
        raise unavailable_now(reply)
    return reply


class Connection:
    """Keeps one `Wire` open. Commands sent while it is down wait for it until their deadline; they were never sent, so that
    is safe. Commands that were pending when it broke fail with `store_unavailable`: they may have happened."""

    def __init__(self, open_one: Callable[[], Awaitable[Wire]], deadline_s: float, tasks: Tasks, name: str) -> None:
        self._open = open_one
        self._deadline_s = deadline_s
        self._tasks = tasks
        self._name = name
        self._wire: Wire | None = None
        self._up = asyncio.Event()
        self._waiting = 0
        self.closed = False
        self._last_error: ShowgroundError | None = None
        self.on_lost: Callable[[], None] | None = None

    async def open(self) -> None:
        """Connect for the first time, or raise why not; from then on the connection looks after itself."""
        self._use(await self._open())
        self.start()

    def start(self) -> None:
        """Look after the connection; commands wait until it is there."""
        self._tasks.keep(f"redis connection {self._name}", self._keep)

    @property
    def up(self) -> bool:
        return self._wire is not None and self._wire.usable

    def _use(self, wire: Wire) -> None:
        self._wire = wire
        wire.on_readonly = lambda: wire.abort("became read-only: another server leads now")
        self._up.set()

    async def _keep(self) -> None:
        failures = 0
        while not self.closed:
            if self._wire is not None:
                await self._wire.lost.wait()
                self._wire = None
                self._up.clear()
                if self.closed:
                    return
                log.warning("lost the connection to Redis (%s)", self._name)
                if self.on_lost is not None:
                    self.on_lost()
            try:
                wire = await self._open()
                if self.closed:
                    wire.abort("not needed any more")
                    return
                self._use(wire)
            except ShowgroundError as error:
                self._last_error = error
                if failures == 0:
                    log.warning("%s", error)
                failures += 1
                pause = min(FIRST_PAUSE_S * 2 ** min(failures, 10), LONGEST_PAUSE_S)
                await asyncio.sleep(random.uniform(pause / 2, pause))  # noqa: S311  # jitter, not a secret
            else:
                failures = 0
                log.info("connected to Redis again (%s)", self._name)

    async def wire(self, deadline_s: float | None = None) -> Wire:
        """A wire that works now; waits for one until the deadline, then raises `store_unavailable`.

        When it raises, nothing was sent.
        """
        wire = self._wire
        if wire is not None and wire.usable:
            return wire
        if self._waiting >= MAX_PENDING:
            raise ShowgroundError("overloaded", "too many commands wait for Redis to return", "redis", retry_after=1.0)
        self._waiting += 1
        try:
            async with asyncio.timeout(self._deadline_s if deadline_s is None else deadline_s):
                while (wire := self._wire) is None or not wire.usable:
                    if self.closed:
                        raise ShowgroundError("store_unavailable", "the connection to Redis is closed", "redis")
                    self._up.clear()
                    await self._up.wait()
                return wire
        except TimeoutError:
            if (wire := self._wire) is not None and wire.usable:
                return wire  # it came in the turn of the loop that noticed the time
            reason = self._last_error.message if self._last_error else "the connection is down"
            raise ShowgroundError("store_unavailable", f"Redis ({self._name}) is away: {reason}", "redis") from None
        finally:
            self._waiting -= 1

    def send(self, commands: Sequence[Sequence[Arg]]) -> Awaitable[list[Reply]]:
        """As `Wire.send`, on a wire that works now or is there within the deadline."""
        wire = self._wire
        return wire.send(commands) if wire is not None and wire.usable else self._send_later(commands)

    def ask(self, command: Sequence[Arg], on_end: OnEnd) -> bool:
        """As `Wire.ask`; False when there is no wire now."""
        wire = self._wire
        return wire is not None and wire.ask(command, on_end)

    async def _send_later(self, commands: Sequence[Sequence[Arg]]) -> list[Reply]:
        wire = await self.wire()
        return await wire.send(commands)

    def reset(self, reason: str, unless_to: str = "") -> None:
        """Drop the wire, so that the next call gets a new one (perhaps to another server), unless it leads there already."""
        if self._wire is not None and str(self._wire.address) != unless_to:
            self._wire.abort(reason)

    def retire(self) -> None:
        """Take nothing new, let what is pending be answered, and wake those who wait: another connection is theirs."""
        self.closed = True
        self._up.set()
        if self._wire is not None:
            self._wire.finish("not needed any more")

    def close(self) -> None:
        self.closed = True
        self._up.set()
        if self._wire is not None:
            self._wire.abort("closed")
