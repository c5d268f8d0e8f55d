"""Connections of clients that dawdle: slow headers, slow bodies, answers that nobody reads (slowloris and its kin).

aiohttp bounds the time between requests only, and hears of no request that does not pass through it; so that is done here, too.
The rules and rates are those of Apache's mod_reqtimeout (https://httpd.apache.org/docs/2.4/mod/mod_reqtimeout.html): so much
time, then a least rate.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import cast

import msgspec
from aiohttp import web

from showground.errors import ShowgroundError
from showground.exchange import Asked, Exchange
from showground.model import Frozen


class Patience(Frozen, frozen=True, kw_only=True):
    """How long a client may take."""

    header_s: float = 20.0
    """From the first byte that is waited for until the head of the request is there."""
    body_s: float = 20.0
    """How long a body may come at whatever rate."""
    body_bytes_per_s: float = 4096.0
    """The least mean rate of a body from then on."""
    read_s: float = 60.0
    """How long the client may leave more than the transport's high-water mark (64 kB) of an answer unread."""
    idle_s: float = 75.0
    """How long a connection stays open after an answer when no request comes."""


class Doorway:
    """Makes the protocol of each connection, and lets in no more than *room* at a time; the others hear 503 and go."""

    def __init__(
        self,
        server: Callable[[], asyncio.Protocol],
        patience: Patience,
        room: int,
        make: Callable[[Callable[[], asyncio.Protocol], Patience, Doorway], PatientConnection] | None = None,
    ) -> None:
        self._server = server
        self._patience = patience
        self._room = room
        self._make = make or PatientConnection
        self._inside = 0
        error = ShowgroundError("overloaded", "this host takes no more connections", "", "Ask another host.")
        body = msgspec.json.encode(error.to_json())
        self.full = (
            b"HTTP/1.1 503 Service Unavailable\r\nRetry-After: 2\r\nContent-Type: application/json\r\n"
            b"Content-Length: %d\r\nConnection: close\r\n\r\n%s" % (len(body), body)
        )

    def __call__(self) -> PatientConnection:
        return self._make(self._server, self._patience, self)

    def enter(self) -> bool:
        if self._inside >= self._room:
            return False
        self._inside += 1
        return True

    def leave(self) -> None:
        self._inside -= 1


class PatientConnection(asyncio.Protocol):
    """Stands before aiohttp's own protocol on one connection, passes everything on, and hangs up when patience ends."""

    def __init__(self, server: Callable[[], asyncio.Protocol], patience: Patience, doorway: Doorway) -> None:
        self._server = server
        self._doorway = doorway
        self._inner: asyncio.Protocol = asyncio.Protocol()
        """Aiohttp's, once there is room for it."""
        self._is_in = False
        self._patience = patience
        self._loop = asyncio.get_running_loop()
        self._transport: asyncio.Transport | None = None
        self._request: web.BaseRequest | None = None
        self._awaits_head = False
        self._due: float | None = None
        """Loop time at which a head must be there, or the next request have begun."""
        self._timer: asyncio.TimerHandle | None = None
        """Set anew only when it has run: a timer for each request would cost more than the rest of this class."""
        self._late: asyncio.TimerHandle | None = None
        """Runs while a body is waited for."""
        self._unread: asyncio.TimerHandle | None = None
        self._spent_s = 0.0

    # --- from the transport ---

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.Transport", transport)  # uvloop's own are no subclass of asyncio's
        if not self._doorway.enter():
            self._transport.write(self._doorway.full)
            self._transport.close()
            return
        self._is_in = True
        self._inner = self._server()
        self._wait_for_head()
        self._inner.connection_made(transport)

    def data_received(self, data: bytes) -> None:
        if self._request is None and not self._awaits_head:
            self._wait_for_head()
        self._inner.data_received(data)

    def eof_received(self) -> bool | None:
        return self._inner.eof_received()

    def pause_writing(self) -> None:
        self._unread = self._loop.call_later(self._patience.read_s, self._hang_up)
        self._inner.pause_writing()

    def resume_writing(self) -> None:
        _stop(self._unread)
        self._unread = None
        self._inner.resume_writing()

    def connection_lost(self, error: Exception | None) -> None:
        for timer in (self._timer, self._late, self._unread):
            _stop(timer)
        self._timer = self._late = self._unread = None
        if self._is_in:
            self._is_in = False
            self._doorway.leave()
        self._inner.connection_lost(error)

    # --- from the server ---

    def began(self, request: web.BaseRequest) -> None:
        """The head of *request* is there and its handler runs."""
        self._awaits_head = False
        self._due = None
        self._request = request
        if request.can_read_body and not request.content.is_eof():
            self._spent_s = self._patience.body_s
            self._late = self._loop.call_later(self._spent_s, self._weigh, request)

    def ended(self) -> None:
        """The handler is done."""
        if self._late is not None:
            self._late.cancel()
        self._late = self._request = None
        self._wait(self._patience.idle_s)

    def learn(self, route: Exchange, request: web.BaseRequest, asked: Asked) -> None:
        """*route* has answered *request* well; for connections that know a shorter way to it."""

    def answers_shortly(self) -> None:
        """What is answered now is short, and will be written in this turn of the loop."""

    def _wait_for_head(self) -> None:
        self._awaits_head = True
        self._wait(self._patience.header_s)

    def _wait(self, seconds: float) -> None:
        self._due = self._loop.time() + seconds
        if self._timer is None:
            self._timer = self._loop.call_later(min(seconds, self._patience.header_s), self._look)

    def _look(self) -> None:
        """Whether patience has ended; never set for longer than a head may take, so that it is in time for either."""
        self._timer = None
        if self._due is None:
            return
        left_s = self._due - self._loop.time()
        if left_s > 0:
            self._timer = self._loop.call_later(min(left_s, self._patience.header_s), self._look)
        elif not self._awaits_head and self._transport is not None and self._transport.get_write_buffer_size():
            self._wait(self._patience.idle_s)  # it still reads the answer
        else:
            self._hang_up()

    def _weigh(self, request: web.BaseRequest) -> None:
        """Whether the body comes fast enough; asked again every second."""
        self._late = None
        body = request.content
        if body.is_eof():
            return
        if self._transport is not None and not self._transport.is_reading():
            pass  # it is we who do not read: an upload waits for its turn
        elif body.total_bytes < self._patience.body_bytes_per_s * (self._spent_s - self._patience.body_s + 1):
            body.set_exception(web.HTTPRequestTimeout(text="the body came too slowly"))
            return
        else:
            self._spent_s += 1
        self._late = self._loop.call_later(1.0, self._weigh, request)

    def _hang_up(self) -> None:
        if self._transport is not None:
            self._transport.abort()


def connection_of(request: web.BaseRequest) -> PatientConnection | None:
    """The connection that *request* came by; None in a server that makes its own."""
    protocol = request.transport.get_protocol() if request.transport is not None else None
    return protocol if isinstance(protocol, PatientConnection) else None


def _stop(timer: asyncio.TimerHandle | None) -> None:
    if timer is not None:
        timer.cancel()
