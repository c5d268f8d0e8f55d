"""What browsers say (docs/browser-protocol.md), checked before anything is done with it."""

from __future__ import annotations

from typing import Annotated, Any, Literal
from urllib.parse import unquote

import msgspec

from showground.errors import ShowgroundError
from showground.model import Frozen
from showground.views.records import Env

MESSAGE_BYTES = 256 * 1024
"""A form with long paragraphs fits; more is refused."""

Count = Annotated[int, msgspec.Meta(ge=0, le=2**53 - 1)]
"""What JSON numbers carry exactly everywhere (RFC 8259 section 6)."""


class BrowserEvent(Frozen, frozen=True, kw_only=True):
    type: Literal["press", "form_submitted", "form_cancelled", "interval", "web_view"]
    action: str | None = None
    form: str | None = None
    hook: str | None = None
    data: msgspec.Raw = msgspec.Raw(b"")
    visible: bool | None = None

    def body(self) -> dict[str, Any]:
        """As the worker gets it: `data` stays the bytes that the browser sent."""
        found: dict[str, Any] = {"type": self.type}
        for name in ("action", "form", "hook", "visible"):
            value = getattr(self, name)
            if value is not None:
                found[name] = value
        if self.data:
            found["data"] = bytes(self.data)
        return found


class Incoming(Frozen, frozen=True, kw_only=True):
    type: Literal["hello", "event", "env", "refresh", "ping"]
    protocol: Count = 1
    """Of a hello: which version of the browser protocol the page's script speaks."""
    post: str | None = None
    view: str | None = None
    rev: Count | None = None
    resume: str | None = None
    ticket: str | None = None
    env: Env | None = None
    seq: Count | None = None
    event: BrowserEvent | None = None


_decode = msgspec.json.Decoder(Incoming).decode


def read_message(raw: bytes | str) -> Incoming:
    """Raises `too_large` or `bad_request`, whose message names the field."""
    if len(raw) > MESSAGE_BYTES:
        raise ShowgroundError(
            "too_large", f"the message has {len(raw)} bytes", "message", f"Send at most {MESSAGE_BYTES}."
        )
    try:
        message = _decode(raw)
    except (msgspec.DecodeError, UnicodeError, RecursionError) as error:
        raise ShowgroundError("bad_request", f"not a message of the browser protocol: {error}", "message") from None
    if message.type == "event" and (message.event is None or message.seq is None or message.seq < 1):
        raise ShowgroundError("bad_request", "an event needs `event` and a `seq` from 1", "message")
    if message.type == "env" and message.env is None:
        raise ShowgroundError("bad_request", "env needs `env`", "message")
    return message


def read_env(raw: bytes | str | None) -> Env:
    """The surroundings of a first paint, perhaps percent-encoded as cookies are; whatever cannot be read is the default."""
    if not raw:
        return Env()
    try:
        return msgspec.json.decode(unquote(raw) if isinstance(raw, str) else raw, type=Env)
    except (msgspec.DecodeError, UnicodeError, RecursionError):
        return Env()
