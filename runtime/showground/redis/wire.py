"""One live connection: commands are packed and joined into one write per loop turn, replies answer them in order.

The shape (one connection, `hiredis`, futures in a queue) was measured at 9.5 times redis-py's pool with 64 concurrent GETs
(Valkey 9.1.2 on a Unix socket, 2 cores, 24 Nov 2026). RESP2, so that replies look the same on every server.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable, Sequence
from typing import cast

import hiredis

from showground.errors import ShowgroundError
from showground.redis.address import Address
from showground.redis.api import Arg, CommandRefused, Reply
from showground.redis.pending import Asked, Awaited, Confirmation, Pending, WriteWatch, unavailable_now
from showground.soon import OnEnd

MAX_PENDING = 100_000
"""Commands that may wait for replies on one connection; more are refused as `overloaded`."""
SHORT_WAIT_MS = 20
MAX_PENDING_BYTES = 256 * 1024 * 1024
_NOTHING = object()
_pack: Callable[[tuple[Arg, ...]], bytes] = hiredis.pack_command  # type: ignore[assignment]  # typed as of one argument only


class Wire(asyncio.Protocol):
    """A connection that lives once: when it is lost, what was pending fails and `lost` is set.

    Where the address asks for replicas, one `WAIT` follows the writes of a loop turn, and their replies are given out after its
    own. It costs a turn to the replica; what is sent meanwhile waits with the server.
    """

    def __init__(self, address: Address, deadline_s: float) -> None:
        self.address = address
        self.lost = asyncio.Event()
        self.on_push: Callable[[Reply], None] | None = None
        """When set, replies go here instead of to pending commands: the Pub/Sub state of RESP2."""
        self.on_readonly: Callable[[], None] | None = None
        self.last_received = 0.0
        self._loop = asyncio.get_running_loop()
        self._deadline_s = deadline_s
        self._transport: asyncio.Transport | None = None
        self.usable = False
        """Whether it takes commands: from the time it is connected until it is lost."""
        self._reader = hiredis.Reader(replyError=CommandRefused, protocolError=ConnectionError, notEnoughData=_NOTHING)
        self._pending: deque[Pending] = deque()
        self._waiting = 0
        self._waiting_bytes = 0
        self._asked: list[tuple[bytes, OnEnd]] = []
        """What was asked in this turn of the loop, and is not in line yet."""
        self._out: list[bytes] = []
        self._watch: asyncio.TimerHandle | None = None
        self._reason = "closed"
        self._finishing = ""
        self._became_readonly = False
        self._writes = WriteWatch() if address.replicas else None
        self._unconfirmed: list[Pending] = []
        """Writes that no WAIT follows yet."""
        self._waits_in_vain = False
        """There is no replica now, so waiting for one would only hold up what is sent behind."""

    # --- sending ---

    def send(self, commands: Sequence[Sequence[Arg]]) -> asyncio.Future[list[Reply]]:
        """Queue *commands* for the next write; the future gets their replies, error replies as `CommandRefused` among them.

        Raises `overloaded` when the connection's queue is full, and `store_unavailable` when it is lost already: in both
        cases nothing was sent.
        """
        if self._transport is None or self._waiting >= MAX_PENDING or self._waiting_bytes >= MAX_PENDING_BYTES:
            raise self._refusal()
        if self._asked:
            self._join_asked()
        packed = [_pack(tuple(command)) for command in commands]
        future: asyncio.Future[list[Reply]] = self._loop.create_future()
        now = self._loop.time()
        self._await(Awaited(future, len(packed), now + self._deadline_s, sum(map(len, packed))), commands, now)
        self._write(packed)
        return future

    def ask(self, command: Sequence[Arg], on_end: OnEnd) -> bool:
        """Send one command with the others of this turn of the loop; *on_end* is told its reply.

        False, and nothing was done, when the connection is lost, or when the command has to wait for replicas.
        """
        if self._writes is not None or self._transport is None:
            return False
        if self._waiting >= MAX_PENDING or self._waiting_bytes >= MAX_PENDING_BYTES:
            raise self._refusal()
        self._waiting += 1
        if not self._asked:
            self._loop.call_soon(self._flush)
        self._asked.append((_pack(tuple(command)), on_end))
        return True

    def _join_asked(self) -> None:
        """Put what was asked in line: all of it is answered together."""
        asked, self._asked = self._asked, []
        packed = [one for one, _ in asked]
        now = self._loop.time()
        self._waiting -= len(asked)
        self._await(Asked([on_end for _, on_end in asked], now + self._deadline_s, sum(map(len, packed))), (), now)
        self._out += packed

    def _refusal(self) -> ShowgroundError:
        """Why nothing is sent now."""
        if self._transport is None:
            return self.unavailable(self._reason)
        return ShowgroundError(
            "overloaded",
            f"{self._waiting} commands wait for Redis at {self.address}",
            "redis",
            "Try again in a moment.",
            retry_after=0.1,
        )

    def _await(self, pending: Pending, commands: Sequence[Sequence[Arg]], now: float) -> None:
        if self._writes is not None and self._writes.sees_write(commands):
            pending.awaits_replicas = True
            self._unconfirmed.append(pending)
        self._pending.append(pending)
        self._waiting += pending.expects
        self._waiting_bytes += pending.size
        if self._watch is None:
            self.last_received = max(self.last_received, now)
            self._watch = self._loop.call_later(self._deadline_s / 4, self._check)

    def send_raw(self, *command: Arg) -> None:
        """Send a command whose answer comes as a push (SUBSCRIBE and its kin)."""
        if self._transport is None:
            raise self.unavailable(self._reason)
        self._write([_pack(command)])

    def _write(self, packed: Sequence[bytes]) -> None:
        if not self._out:
            self._loop.call_soon(self._flush)
        self._out += packed

    def _flush(self) -> None:
        if self._asked:
            self._join_asked()
        if self._unconfirmed:
            self._await_replicas()
        out, self._out = self._out, []
        if self._transport is not None and out:
            self._transport.write(out[0] if len(out) == 1 else b"".join(out))

    def _await_replicas(self) -> None:
        writes, self._unconfirmed = self._unconfirmed, []
        replicas = self.address.replicas
        self._pending.append(Confirmation(writes, replicas, self._loop.time() + self._deadline_s))
        self._waiting += 1
        self._out.append(
            _pack(("WAIT", replicas, SHORT_WAIT_MS if self._waits_in_vain else round(self._deadline_s * 500)))
        )

    def unavailable(self, reason: str) -> ShowgroundError:
        return ShowgroundError("store_unavailable", f"Redis at {self.address}: {reason}", "redis")

    # --- deadlines ---

    def _check(self) -> None:
        """Fail what is past its deadline; the connection too, once it has been silent for two deadlines."""
        self._watch = None
        now = self._loop.time()
        if not self._pending or self._transport is None:
            return
        for entry in list(self._pending):
            if entry.expires > now:
                break
            entry.fail(self.unavailable(f"no answer in {self._deadline_s:g} s"))
        if now - max(self.last_received, self._pending[0].expires - self._deadline_s) > 2 * self._deadline_s:
            self.abort("silent for too long")
            return
        self._watch = self._loop.call_later(self._deadline_s / 4, self._check)

    # --- receiving ---

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        transport = cast("asyncio.Transport", transport)  # uvloop's own class does not derive from asyncio's
        self._transport = transport
        self.usable = True
        self.last_received = self._loop.time()

    def data_received(self, data: bytes) -> None:
        self.last_received = self._loop.time()
        reader = self._reader
        try:
            reader.feed(data)
            while (reply := reader.gets()) is not _NOTHING:
                if self.on_push is not None:
                    self.on_push(reply)
                else:
                    self._answer(reply)
        except ConnectionError as error:
            self.abort(f"spoke another protocol ({error})")
        # Only now: all who asked have been told that nothing was done, which a lost connection would leave open.
        if self._became_readonly and self.on_readonly is not None:
            self.on_readonly()

    def _answer(self, reply: Reply) -> None:
        if not self._pending:
            self.abort("answered what was not asked")
            return
        entry = self._pending[0]
        entry.replies.append(reply)
        if type(reply) is CommandRefused and str(reply).startswith("READONLY"):
            self._became_readonly = True
        if len(entry.replies) == entry.expects:
            self._pending.popleft()
            self._waiting -= entry.expects
            self._waiting_bytes -= entry.size
            if not entry.awaits_replicas:
                entry.succeed()
                if type(entry) is Confirmation:  # isinstance asks the abstract base: 1 µs
                    self._waits_in_vain = entry.is_vain
            if self._finishing and not self._pending:
                self.abort(self._finishing)

    def connection_lost(self, exc: Exception | None) -> None:
        if exc is not None and self._reason == "closed":
            self._reason = str(exc) or type(exc).__name__
        self._end()

    def abort(self, reason: str) -> None:
        """Drop the connection at once; what is pending fails with *reason*."""
        if self._transport is not None:
            self._reason = reason
            self._transport.abort()
            self._end()

    def finish(self, reason: str) -> None:
        """Drop the connection once everything that is pending was answered."""
        self._finishing = reason
        if not self._pending:
            self.abort(reason)

    def _end(self) -> None:
        self._transport = None
        self.usable = False
        if self._watch is not None:
            self._watch.cancel()
            self._watch = None
        pending, self._pending = self._pending, deque()
        if self._asked:
            asked, self._asked = self._asked, []
            pending.append(Asked([on_end for _, on_end in asked], 0.0, 0))
        self._out.clear()
        self._unconfirmed.clear()
        for entry in pending:
            entry.fail(self.unavailable(f"the connection was lost ({self._reason})"))
        self.lost.set()

    @property
    def idle(self) -> bool:
        return not self._pending


async def let_transports_close() -> None:
    """Give aborted transports the turns in which they close their sockets."""
    for _ in range(3):
        await asyncio.sleep(0)


async def open_wire(address: Address, deadline_s: float, database: bool = True) -> Wire:
    """Connect, authenticate, select. Raises `store_unavailable`, or `misconfigured` when Redis refuses the login.

    A server that is loading its data is waited for, within the deadline.
    """
    loop = asyncio.get_running_loop()

    def make() -> Wire:
        return Wire(address, deadline_s)

    wire: Wire | None = None
    try:
        async with asyncio.timeout(deadline_s):
            if address.path:
                _, wire = await loop.create_unix_connection(make, address.path)
            else:
                _, wire = await loop.create_connection(
                    make,
                    address.host,
                    address.port,
                    ssl=address.tls,
                    server_hostname=address.host if address.tls else None,
                )
            greeting: list[Sequence[Arg]] = []
            if address.password:
                login = (address.username, address.password) if address.username else (address.password,)
                greeting.append(("AUTH", *login))
            if address.database and database:
                greeting.append(("SELECT", address.database))
            while True:
                replies = await wire.send([*greeting, ("PING",)])
                refused = next((r for r in replies if isinstance(r, CommandRefused)), None)
                if refused is None:
                    return wire
                if not str(refused).startswith(("LOADING", "BUSY", "MASTERDOWN")):
                    break
                await asyncio.sleep(0.02)
    except OSError as error:
        if wire is not None:
            wire.abort("not used")
        raise ShowgroundError(
            "store_unavailable",
            f"cannot reach Redis at {address}: {error or 'no answer in time'}",
            "redis",
            "Check that it runs and that the URL is right.",
        ) from error
    except BaseException:
        if wire is not None:
            wire.abort("not used")
        raise
    wire.abort("refused")
    if refused.is_temporary:
        raise unavailable_now(refused)
    raise ShowgroundError(
        "misconfigured",
        f"Redis at {address} refused us: {refused}",
        "redis.url",
        "Check user, password and database of the URL.",
    )
