"""A short request and its short answer: what a route needs of HTTP, whichever server reads and writes the bytes.

Routes that run often are written against this, so that the web server may serve them without building a request object of
aiohttp's for each (`web.shortcut`). Whoever streams, upgrades or sets cookies takes an aiohttp request instead.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from typing import Protocol
from urllib.parse import parse_qsl

from showground.model import Frozen


class Asked:
    """What stood before the body. It may serve many requests that differ in nothing else, so nothing may be written to it."""

    __slots__ = ("_lower", "headers", "match", "method", "path", "query_string")

    def __init__(
        self, method: str, path: str, match: Mapping[str, str], headers: Mapping[str, str], query_string: str = ""
    ) -> None:
        self.method = method
        self.path = path
        self.match = match
        """What the path's `{names}` stand for, decoded."""
        self.headers = headers
        """By name, in any case of letters; of a name that came several times, the first."""
        self.query_string = query_string
        self._lower: Mapping[str, str] | None = None

    @property
    def lower_headers(self) -> Mapping[str, str]:
        """By lower-case name; of a name that came several times, the last."""
        if self._lower is None:
            self._lower = {name.lower(): value for name, value in self.headers.items()}
        return self._lower

    @property
    def query(self) -> Mapping[str, str]:
        """Of a name that came several times, the first value."""
        if not self.query_string:
            return {}
        return dict(reversed(parse_qsl(self.query_string, keep_blank_values=True)))


class Answer(Frozen, frozen=True, kw_only=True):
    body: bytes
    status: int = 200


Admit = Callable[[Asked], Awaitable[None]]
"""Raises `ShowgroundError` unless the caller may ask; called before the body is read."""
Exchange = Callable[[Asked, bytes], Awaitable[Answer]]
"""Takes the body (at most 8 MiB) and gives JSON; raises `ShowgroundError`, which is answered in the one JSON shape."""


class Exchanges(Protocol):
    """Serves routes of this kind; the web server is one."""

    def exchange(
        self, method: str, path: str, handler: Exchange, scope: str | None, admit: Admit | None = None
    ) -> None:
        """Serve *path*. *scope* is what the caller's token must cover for the community and app of the path; a route whose
        path names neither may check the token itself, in *admit*."""
        ...
