"""What goes over the wire to subscribers, built once per message however many there are."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Protocol

import msgspec

from showground.capabilities import Message
from showground.model import Json
from showground.websocket import text_frame

PROTOCOL = 1
"""Version of the frames, told in the hello."""


class Framing(Protocol):
    def message(self, message: Message) -> bytes:
        """The bytes for one message; the payload goes in as it is."""
        ...

    def notice(self, kind: str, fields: Mapping[str, Json]) -> bytes:
        """The bytes for anything else: hello, gap, reconnect."""
        ...


class WebSocketFraming:
    """Text frames of JSON objects whose `type` says what they are."""

    def message(self, message: Message) -> bytes:
        position = str(message.position).encode("ascii")
        return text_frame(b'{"type":"message","position":"%b","data":%b}' % (position, message.data))

    def notice(self, kind: str, fields: Mapping[str, Json]) -> bytes:
        return text_frame(msgspec.json.encode({"type": kind, **fields}))


class EventStreamFraming:
    """Server-sent events (WHATWG HTML section 9.2); `id` is the position, so that browsers send it back by themselves."""

    def __init__(self, is_chunked: bool) -> None:
        self._is_chunked = is_chunked

    def message(self, message: Message) -> bytes:
        data = message.data
        if b"\n" in data or b"\r" in data:
            # Within JSON a raw line break is only ever space between tokens, so a client that joins the lines reads the same.
            data = b"\ndata: ".join(data.splitlines())
        position = str(message.position).encode("ascii")
        return self._pack(b"id: %b\nevent: message\ndata: %b\n\n" % (position, data))

    def notice(self, kind: str, fields: Mapping[str, Json]) -> bytes:
        head = b""
        if kind in ("hello", "gap"):
            head = f"id: {fields['position']}\n".encode()
        elif kind == "reconnect":
            head = f"retry: {fields['after_ms']}\n".encode()
        return self._pack(head + b"event: %b\ndata: %b\n\n" % (kind.encode("ascii"), msgspec.json.encode(fields)))

    def heartbeat(self) -> bytes:
        return self._pack(b":\n\n")

    def _pack(self, event: bytes) -> bytes:
        return b"%x\r\n%b\r\n" % (len(event), event) if self._is_chunked else event


class Encoder:
    """Remembers the frame of the latest message. A channel's fan-out asks for the same one many times in a row, so it looks at
    `latest` first."""

    __slots__ = ("frame", "framing", "latest")

    def __init__(self, framing: Framing) -> None:
        self.framing = framing
        self.latest: Message | None = None
        self.frame = b""
        """Of `latest`."""

    def __call__(self, message: Message) -> bytes:
        if message is not self.latest:
            self.frame = self.framing.message(message)
            self.latest = message
        return self.frame
