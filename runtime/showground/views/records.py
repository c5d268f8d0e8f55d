"""What the host and a worker say about views (docs/view-protocol.md), and what is kept of a view between two calls.

`state`, `tree`, `patch`, `effects`, `answer` and `intervals` are bytes that the host stores and passes on, never reads.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any, Literal

import msgspec

from showground.keys import InstallationId
from showground.model import Frozen, Json

EVENTS_AT_ONCE = 128
VIEWS_AT_ONCE = 1000

Pixels = Annotated[int, msgspec.Meta(ge=0, le=100_000)]
Factor = Annotated[float, msgspec.Meta(ge=0, le=100)]
Name = Annotated[str, msgspec.Meta(max_length=64)]


class Env(Frozen, frozen=True, kw_only=True, omit_defaults=False):
    """The viewer's surroundings; sizes in CSS pixels."""

    width: Pixels = 640
    height: Pixels = 320
    scale: Factor = 1.0
    font_scale: Factor = 1.0
    color_scheme: Literal["light", "dark"] = "light"
    locale: Name = "en"
    timezone: Name = "UTC"


class ViewerIdentity(Frozen, frozen=True, kw_only=True):
    """Who looks; `id` None for somebody who is not signed in."""

    id: str | None = None
    name: str | None = None
    moderator: bool = False


class ViewInput(Frozen, frozen=True, kw_only=True):
    id: str
    rev: int
    state: bytes | None
    viewer: ViewerIdentity
    env: Env
    full: bool = False


class ViewRequest(Frozen, frozen=True, kw_only=True):
    post: Mapping[str, Json]
    views: list[ViewInput]
    events: list[Mapping[str, Any]]


class ViewResult(Frozen, frozen=True, kw_only=True):
    need_state: bool = False
    alone: bool = False
    """Not run: send the events again for this view alone, in its viewer's name."""
    answer: bytes | None = None
    state: bytes | None = None
    tree: bytes | None = None
    patch: bytes | None = None
    effects: bytes | None = None
    channels: tuple[str, ...] | None = None
    intervals: bytes | None = None
    more: bool = False
    errors: tuple[Mapping[str, Json], ...] = ()
    own: bool = False


class ViewReply(Frozen, frozen=True, kw_only=True):
    results: list[ViewResult]
    of: list[int]
    revs: list[int]


class Snapshot(Frozen, frozen=True, kw_only=True):
    """What any host needs to go on with a view: all of it in one value, so that it is written and read as one."""

    view: str
    post: str
    installation: InstallationId
    viewer: ViewerIdentity
    rev: int
    state: bytes
    ack: int = 0
    """The highest `seq` of the browser that is in the state."""
    channels: tuple[str, ...] = ()
    intervals: bytes = b"{}"
    positions: Mapping[str, str] = {}
    """Channel → position of the last message that is in the state."""
    more: bool = False


encode_request = msgspec.msgpack.Encoder().encode
decode_reply = msgspec.msgpack.Decoder(ViewReply).decode
encode_snapshot = msgspec.msgpack.Encoder().encode
decode_snapshot = msgspec.msgpack.Decoder(Snapshot).decode
