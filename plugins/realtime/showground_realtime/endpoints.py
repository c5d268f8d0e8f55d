"""Channels over HTTP: WebSocket, server-sent events, publishing, history. docs/realtime.md describes them for clients."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from typing import Protocol

import msgspec
from aiohttp import WSMsgType, web
from aiohttp.http import HttpVersion11
from msgspec.structs import asdict

from showground.capabilities import REALTIME, Realtime
from showground.clock import SystemClock
from showground.errors import ShowgroundError
from showground.hookspecs import Providers, Router
from showground.model import Json
from showground.tasks import Tasks
from showground_realtime.channels import Channels
from showground_realtime.closing import CloseCode, reconnect_after_ms
from showground_realtime.framing import PROTOCOL, Encoder, EventStreamFraming, WebSocketFraming
from showground_realtime.joining import Joined, join
from showground_realtime.outbox import Flusher, Outbox
from showground_realtime.requests import channel_of, compact_json, installation_of, limit_of, policy_of, since_of
from showground_realtime.settings import RealtimeSettings
from showground_realtime.streams import Stream, Streams

APP = "/api/v1/communities/{community}/apps/{app}/channels"
CLOSE_S = 5.0
"""Seconds for a client to take the last frames and say goodbye; then the connection is cut."""
READ_BYTES = 4096
"""Largest frame that is read from a client of which none is expected."""


class OriginCheck(Protocol):
    def __call__(self, request: web.Request) -> bool: ...


class Endpoints:
    """The handlers, and what they share: the connections of this host and the frames of the latest message."""

    def __init__(self, providers: Providers, origin_allowed: OriginCheck) -> None:
        self._providers = providers
        self._origin_allowed = origin_allowed
        self.streams = Streams(SystemClock())
        self._flusher = Flusher()
        self._tasks = Tasks(grace_s=CLOSE_S)
        self._websocket = Encoder(WebSocketFraming())
        self._event_stream = Encoder(EventStreamFraming(is_chunked=True))

    def add_to(self, router: Router) -> None:
        router("GET", APP, self.list_channels, "read")
        router("GET", APP + "/{name}", self.listen, "read")
        router("POST", APP + "/{name}", self.publish, "emit")
        router("GET", APP + "/{name}/history", self.history, "read")
        router.on_drain(self.drain)

    @property
    def _realtime(self) -> Realtime:
        return self._providers(REALTIME)

    @property
    def _settings(self) -> RealtimeSettings:
        realtime = self._realtime
        return realtime.settings if isinstance(realtime, Channels) else RealtimeSettings()

    async def drain(self) -> None:
        await self.streams.drain()
        await self._tasks.close()

    # --- plain requests ------------------------------------------------------------------------------------------

    async def list_channels(self, request: web.Request) -> web.StreamResponse:
        installation = installation_of(request)
        names = await self._realtime.channels(installation)
        return _json({"channels": list(names), "limits": asdict(self._realtime.limits)})

    async def publish(self, request: web.Request) -> web.StreamResponse:
        installation, name = installation_of(request), channel_of(request)
        limit = self._realtime.limits.message_bytes
        if request.content_length is not None and request.content_length > limit:
            raise ShowgroundError(
                "too_large", f"the message has {request.content_length} bytes; the limit is {limit}", "realtime"
            )
        data = await request.read()
        if len(data) > limit:
            raise ShowgroundError("too_large", f"the message has {len(data)} bytes; the limit is {limit}", "realtime")
        position = await self._realtime.publish(installation, name, compact_json(data))
        return _json({"position": str(position)})

    async def history(self, request: web.Request) -> web.StreamResponse:
        messages, stands = await self._realtime.history(
            installation_of(request), channel_of(request), since_of(request), limit_of(request)
        )
        body = b'{"messages":[%b],"position":"%b","recovered":%b}' % (
            b",".join(b'{"position":"%b","data":%b}' % (str(m.position).encode(), m.data) for m in messages),
            str(stands.position).encode(),
            b"true" if stands.recovered else b"false",
        )
        return web.Response(body=body, content_type="application/json")

    async def listen(self, request: web.Request) -> web.StreamResponse:
        """A WebSocket when the client asks for an upgrade, else server-sent events."""
        if request.headers.get("Upgrade", "").lower() == "websocket":
            return await self._listen_websocket(request)
        return await self._listen_events(request)

    # --- WebSocket -----------------------------------------------------------------------------------------------

    async def _listen_websocket(self, request: web.Request) -> web.StreamResponse:
        if not self._origin_allowed(request):
            raise ShowgroundError(
                "forbidden",
                f"pages of {request.headers.get('Origin', '')[:200]} may not open WebSockets here",
                "Origin",
                "Add the origin to `[host] allowed_origins`.",
            )
        settings = self._settings
        socket = web.WebSocketResponse(
            timeout=CLOSE_S, heartbeat=settings.heartbeat_s, compress=False, max_msg_size=READ_BYTES
        )
        stream = Stream()
        outbox = self._outbox(request, self._websocket, stream)
        self.streams.admit(stream, settings.connections)
        joined: Joined | None = None
        try:
            joined = await self._join(request, outbox)
            await socket.prepare(request)
            transport = request.transport
            if transport is None:
                return socket
            outbox.open(transport, self._hello(request, joined, self._websocket))
            stream.when_ending(lambda code: self._start(lambda: self._close_websocket(socket, code, outbox)))
            while True:
                received = await socket.receive()
                if received.type in (WSMsgType.TEXT, WSMsgType.BINARY):
                    stream.end(CloseCode.UNEXPECTED_FRAME)
                elif received.type in (WSMsgType.CLOSE, WSMsgType.CLOSING, WSMsgType.CLOSED, WSMsgType.ERROR):
                    return socket
        finally:
            outbox.end()
            if joined is not None:
                await joined.close()
            self.streams.release(stream)

    async def _close_websocket(self, socket: web.WebSocketResponse, code: CloseCode, outbox: Outbox) -> None:
        retry_ms = self._retry_ms(code)
        if retry_ms is not None:
            outbox.end(self._websocket.framing.notice("reconnect", {"after_ms": retry_ms, "reason": code.name.lower()}))
        reason = msgspec.json.encode({"reason": code.name.lower(), "retry_ms": retry_ms})
        try:
            async with asyncio.timeout(CLOSE_S):
                await socket.close(code=code, message=reason)
        except TimeoutError:
            pass
        outbox.abort()

    # --- server-sent events --------------------------------------------------------------------------------------

    async def _listen_events(self, request: web.Request) -> web.StreamResponse:
        settings = self._settings
        is_chunked = request.version >= HttpVersion11
        encoder = self._event_stream if is_chunked else Encoder(EventStreamFraming(is_chunked=False))
        stream = Stream()
        outbox = self._outbox(request, encoder, stream)
        response = web.StreamResponse(
            headers={"Content-Type": "text/event-stream", "Cache-Control": "no-store", "X-Accel-Buffering": "no"}
        )
        self.streams.admit(stream, settings.connections)
        joined: Joined | None = None
        try:
            joined = await self._join(request, outbox)
            await response.prepare(request)
            transport = request.transport
            if transport is None:
                return response
            outbox.open(transport, self._hello(request, joined, encoder))
            heartbeat = EventStreamFraming(is_chunked).heartbeat()
            ending = asyncio.Event()
            stream.when_ending(lambda code: ending.set())
            while not transport.is_closing():
                try:
                    async with asyncio.timeout(settings.heartbeat_s):
                        await ending.wait()
                    break
                except TimeoutError:
                    outbox.send(heartbeat)
            if stream.code is CloseCode.SLOW_CONSUMER:  # a farewell would only wait behind what it does not read
                outbox.abort()
                return response
            if stream.code is not None:
                retry_ms = self._retry_ms(stream.code) or 0
                outbox.end(
                    encoder.framing.notice("reconnect", {"after_ms": retry_ms, "reason": stream.code.name.lower()})
                )
            try:
                async with asyncio.timeout(CLOSE_S):
                    await response.write_eof()
            except (TimeoutError, ConnectionError):
                transport.abort()
            return response
        finally:
            outbox.end()
            if joined is not None:
                await joined.close()
            self.streams.release(stream)

    # --- shared --------------------------------------------------------------------------------------------------

    def _outbox(self, request: web.Request, encoder: Encoder, stream: Stream) -> Outbox:
        return Outbox(
            self._flusher,
            encoder,
            policy_of(request),
            self._settings.queue_bytes,
            lambda: stream.end(CloseCode.SLOW_CONSUMER),
        )

    async def _join(self, request: web.Request, outbox: Outbox) -> Joined:
        return await join(self._realtime, installation_of(request), channel_of(request), since_of(request), outbox)

    def _hello(self, request: web.Request, joined: Joined, encoder: Encoder) -> bytes:
        settings = self._settings
        position, recovered = joined.stands()
        return encoder.framing.notice(
            "hello",
            {
                "protocol": PROTOCOL,
                "channel": f"{installation_of(request)}:{channel_of(request)}",
                "position": str(position),
                "recovered": recovered,
                "policy": policy_of(request),
                "heartbeat_s": settings.heartbeat_s,
                "limits": {**asdict(self._realtime.limits), "queue_bytes": settings.queue_bytes},
            },
        )

    def _retry_ms(self, code: CloseCode) -> int | None:
        if not code.may_reconnect:
            return None
        return reconnect_after_ms(self.streams.drained if code is CloseCode.DRAINING else 1)

    def _start(self, work: Callable[[], Coroutine[None, None, None]]) -> None:
        self._tasks.start("close a realtime connection", work())


def _json(document: Json) -> web.Response:
    return web.Response(body=msgspec.json.encode(document), content_type="application/json")
