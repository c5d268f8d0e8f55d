"""The records of the view protocol (`docs/view-protocol.md`): what the host asks and what it is answered."""

from __future__ import annotations

from typing import Any, Literal

import msgspec

from showground.errors import ShowgroundError

MAX_EVENTS = 128
MAX_VIEWS = 1000

EventType = Literal[
    "press",
    "form_submitted",
    "form_cancelled",
    "interval",
    "web_view",
    "resize",
    "theme",
    "message",
    "channel",
    "async",
    "async_start",
    "async_answer",
]


class Event(msgspec.Struct, frozen=True, omit_defaults=True):
    type: EventType
    action: str = ""
    form: str = ""
    hook: str = ""
    channel: str = ""
    data: bytes | None = None
    """JSON, except for `async_answer`, where it is the worker's own."""
    connected: bool = False
    recovered: bool = False
    visible: bool | None = None


class ViewerRecord(msgspec.Struct, frozen=True, omit_defaults=True):
    id: str | None = None
    name: str | None = None
    moderator: bool = False


class EnvRecord(msgspec.Struct, frozen=True, omit_defaults=True):
    width: int | float = 512
    height: int | float = 320
    scale: float = 1.0
    font_scale: float = 1.0
    color_scheme: Literal["light", "dark"] = "light"
    locale: str = "en"
    timezone: str = "UTC"


class ViewRecord(msgspec.Struct, frozen=True, omit_defaults=True):
    id: str
    rev: int = 0
    state: bytes | None = None
    full: bool = False
    viewer: ViewerRecord = ViewerRecord()
    env: EnvRecord = EnvRecord()


class Request(msgspec.Struct, frozen=True, omit_defaults=True):
    post: dict[str, Any]
    views: list[ViewRecord]
    events: list[Event] = []


Result = dict[str, Any]


class Reply(msgspec.Struct, frozen=True):
    results: list[Result]
    of: list[int]
    revs: list[int]


_requests = msgspec.msgpack.Decoder(Request)
_replies = msgspec.msgpack.Encoder()


def read_request(payload: bytes) -> Request:
    """Raises `protocol_error`."""
    try:
        request = _requests.decode(payload)
    except msgspec.MsgspecError as error:
        raise ShowgroundError("protocol_error", f"the view request cannot be read: {error}") from None
    if not 1 <= len(request.views) <= MAX_VIEWS or len(request.events) > MAX_EVENTS:
        raise ShowgroundError(
            "protocol_error",
            f"a view request has {len(request.views)} views and {len(request.events)} events",
            remedy=f"1 to {MAX_VIEWS} views, at most {MAX_EVENTS} events.",
        )
    if any(event.type == "async_start" for event in request.events) and len(request.events) > 1:
        raise ShowgroundError("protocol_error", "async_start does not stand alone in its request")
    return request


def write_reply(reply: Reply) -> bytes:
    return _replies.encode(reply)
