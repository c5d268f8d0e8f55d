"""How browsers reach live posts: a WebSocket, or an event stream with POSTs where WebSockets are blocked."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable
from contextlib import suppress

from aiohttp import WSMsgType, web

from showground.capabilities import LivePost
from showground.errors import ShowgroundError
from showground.hookspecs import Router
from showground.views import messages
from showground.views.inbox import Inbox, Passed
from showground.views.incoming import MESSAGE_BYTES, Incoming, read_message
from showground.views.live import LivePosts
from showground.views.records import ViewerIdentity
from showground.views.snapshots import Snapshots
from showground.views.view import View
from showground.websocket import Frames

log = logging.getLogger("showground.web")

HELLO_S = 15.0
"""How long a browser may take to say hello."""
SILENCE_S = 75.0
"""A browser that was silent this long (it pings every 25 s) is taken for gone."""
SLOW_BYTES = 256 * 1024
"""Unsent bytes from which updates are held back and the newest tree is sent later."""
CUT_BYTES = 2 * 1024 * 1024
"""Unsent bytes at which the connection is cut: whatever is on the other side no longer reads."""
EVENTS_PER_S, EVENTS_BURST = 50.0, 150.0
NORMAL_CLOSURE = b"\x88\x02\x03\xe8"
"""A close frame with code 1000 (RFC 6455 sections 5.5.1 and 7.4.1); what it means for the client stands in the `bye` before."""

Identify = Callable[[web.Request, LivePost, str | None], Awaitable[ViewerIdentity | None]]
"""Who sent a request, as its cookie or ticket proves; None when nothing does. Raises `unauthorized` for a bad ticket."""


class SocketConnection:
    """Writes frames straight to the transport: aiohttp's writer would cost a task switch per message."""

    def __init__(self, transport: asyncio.Transport, frames: Frames) -> None:
        if not transport.is_closing():  # uvloop's refuse everything once they are closed
            transport.set_write_buffer_limits(high=0)  # and write at once then, not at the end of the loop's turn
        self._transport = transport
        self._frames = frames
        self._over = False

    def send(self, message: bytes) -> None:
        if self._over or self._transport.is_closing():
            return
        if self._transport.get_write_buffer_size() > CUT_BYTES:
            self._transport.abort()
            return
        self._transport.write(self._frames(message))

    @property
    def is_slow(self) -> bool:
        return not self._transport.is_closing() and self._transport.get_write_buffer_size() > SLOW_BYTES

    def abort(self) -> None:
        if not self._transport.is_closing():
            self._transport.abort()

    def close(self, reason: str, retry_after: float | None) -> None:
        """Say goodbye and hang up once it is sent; whoever reads from the socket then finds it closed."""
        if not self._over:
            self.send(messages.bye(reason, retry_after))
            self._over = True
            if not self._transport.is_closing():
                self._transport.write(NORMAL_CLOSURE)
                self._transport.close()


class StreamConnection:
    """An event stream (WHATWG HTML section 9.2). Messages wait in a bounded queue for the one task that writes."""

    def __init__(self) -> None:
        self._waiting: asyncio.Queue[bytes | None] = asyncio.Queue()
        self._bytes = 0
        self._over = False

    def send(self, message: bytes) -> None:
        if self._over:
            return
        if self._bytes > CUT_BYTES:
            self._over = True
            self._waiting.put_nowait(None)
            return
        self._bytes += len(message)
        self._waiting.put_nowait(message)

    @property
    def is_slow(self) -> bool:
        return self._bytes > SLOW_BYTES

    def close(self, reason: str, retry_after: float | None) -> None:
        if not self._over:
            self.send(messages.bye(reason, retry_after))
            self._over = True
            self._waiting.put_nowait(None)

    async def pump(self, response: web.StreamResponse) -> None:
        """Write until closed; a comment every now and then keeps proxies from ending a quiet stream."""
        while True:
            try:
                message = await asyncio.wait_for(self._waiting.get(), 20)
            except TimeoutError:
                await response.write(b":\n\n")
                continue
            if message is None:
                return
            await response.write(b"data: %b\n\n" % message)
            self._bytes -= len(message)


class Allowance:
    """A token bucket: how many messages one browser may send."""

    def __init__(self, now: Callable[[], float]) -> None:
        self._now = now
        self._left = EVENTS_BURST
        self.at = now()
        """When it was asked last, and so when the browser said something."""

    def take(self) -> bool:
        now = self._now()
        self._left = min(EVENTS_BURST, self._left + (now - self.at) * EVENTS_PER_S)
        self.at = now
        self._left -= 1
        return self._left >= 0


class Silence:
    """Hangs up on a browser that says nothing any more. One timer for a connection; one for each message cost a tenth of what a
    press costs the host (2026-11-24)."""

    def __init__(self, allowance: Allowance, now: Callable[[], float], hang_up: Callable[[], None]) -> None:
        self._allowance = allowance
        self._now = now
        self._hang_up = hang_up
        self._timer = asyncio.get_running_loop().call_later(SILENCE_S, self._look)

    def _look(self) -> None:
        left_s = self._allowance.at + SILENCE_S - self._now()
        if left_s > 0:
            self._timer = asyncio.get_running_loop().call_later(left_s, self._look)
        else:
            self._hang_up()

    def close(self) -> None:
        self._timer.cancel()


class LiveEndpoints:
    def __init__(
        self, live: LivePosts, snapshots: Snapshots, inbox: Inbox, identify: Identify, monotonic: Callable[[], float]
    ) -> None:
        self._live = live
        self._snapshots = snapshots
        self._inbox = inbox
        self._identify = identify
        self._monotonic = monotonic
        self._frames = Frames()
        self._streaming: dict[str, tuple[str, View]] = {}

    def routes(self, router: Router) -> None:
        self._router = router
        router("GET", "/live/{post}/socket", self.socket, None)
        router("GET", "/live/{post}/stream", self.stream, None)
        router("POST", "/live/{post}/views/{view}", self.speak, None)

    async def socket(self, request: web.Request) -> web.StreamResponse:
        self._refuse_foreign(request)
        socket = web.WebSocketResponse(max_msg_size=MESSAGE_BYTES, compress=False, autoping=True)
        await socket.prepare(request)
        transport = request.transport
        if transport is None:
            return socket
        connection = SocketConnection(transport, self._frames)
        view: View | None = None
        post_id = request.match_info["post"]
        try:
            hello = read_message(await socket.receive_str(timeout=HELLO_S))
            view = await self._welcome(request, post_id, hello, connection)
            await self._listen(socket, connection, post_id, view)
        except ShowgroundError as error:
            connection.send(messages.failed(error))
            connection.close(error.message, error.retry_after or (2.0 if error.kind.temporary else None))
        except (TypeError, TimeoutError, ConnectionError):
            pass  # the browser went away, said nothing, or sent something that is no text
        finally:
            if view is not None:
                await self._live.disconnect(post_id, view)
            with suppress(ConnectionError, TimeoutError):
                await socket.close()
        return socket

    async def _listen(
        self, socket: web.WebSocketResponse, connection: SocketConnection, post_id: str, view: View
    ) -> None:
        allowance = Allowance(self._monotonic)
        silence = Silence(allowance, self._monotonic, connection.abort)
        try:
            while True:
                message = await socket.receive()
                if message.type is not WSMsgType.TEXT:
                    return
                if not allowance.take():
                    connection.close("too many events", 5.0)
                    return
                self._live.receive(post_id, view, read_message(message.data))
                if not view.has_room.is_set():
                    await (
                        view.has_room.wait()
                    )  # read no further than the app gets on; the rest waits on the browser's side
        finally:
            silence.close()

    async def stream(self, request: web.Request) -> web.StreamResponse:
        """`?hello=` is the hello message."""
        self._refuse_foreign(request)
        post_id = request.match_info["post"]
        hello = read_message(request.query.get("hello", ""))
        connection = StreamConnection()
        response = web.StreamResponse(headers={"Content-Type": "text/event-stream", "Cache-Control": "no-store"})
        try:
            view = await self._welcome(request, post_id, hello, connection)
        except ShowgroundError as error:
            if error.code == "unsupported":  # an EventSource sees no status: it would come back for ever
                await response.prepare(request)
                for message in (messages.failed(error), messages.bye(error.message, None)):
                    await response.write(b"data: %b\n\n" % message)
                return response
            raise
        self._streaming[view.id] = (post_id, view)
        try:
            await response.prepare(request)
            await connection.pump(response)
        except ConnectionError:
            pass
        finally:
            if self._streaming.get(view.id) == (post_id, view):
                del self._streaming[view.id]
            await self._live.disconnect(post_id, view)
        return response

    async def speak(self, request: web.Request) -> web.StreamResponse:
        """What a browser with an event stream says; `X-View-Pass` proves that the view is its own. Acknowledged by stream."""
        self._refuse_foreign(request)
        post_id, view_id = request.match_info["post"], request.match_info["view"]
        raw = await request.read()
        read_message(raw)
        post = await self._live.post(post_id)
        await self._live.check_pass(post, view_id, request.headers.get("X-View-Pass", ""))
        passed = Passed(post=post_id, view=view_id, message=raw)
        if view_id in self._streaming:
            self.receive(passed)
        else:
            server = await self._snapshots.server(post.installation, view_id)
            if server is None:
                raise ShowgroundError("not_found", "no host serves this view", "view", "Reconnect.")
            await self._inbox.pass_on(server, passed)
        return web.json_response({}, status=202)

    def receive(self, passed: Passed) -> None:
        """A message for a view that streams from this host."""
        found = self._streaming.get(passed.view)
        if found is not None:
            self._live.receive(found[0], found[1], read_message(passed.message))

    async def _welcome(
        self, request: web.Request, post_id: str, hello: Incoming, connection: SocketConnection | StreamConnection
    ) -> View:
        if hello.type != "hello":
            raise ShowgroundError("bad_request", "the first message must be hello", "message")
        post = await self._live.post(post_id)
        viewer = await self._identify(request, post, hello.ticket)
        return await self._live.connect(post, hello, viewer, connection)

    def _refuse_foreign(self, request: web.Request) -> None:
        if not self._router.origin_allowed(request):
            raise ShowgroundError(
                "forbidden",
                "pages of this origin may not open live posts",
                "Origin",
                "The operator lists origins in the settings: [host] allowed_origins.",
            )
