"""A short request and its short answer: what a route needs of HTTP, whichever server reads and writes the bytes.

Routes that run often are written against this, so that the web server may serve them without building a request object of
aiohttp's for each (`web.shortcut`). Whoever streams, upgrades or sets cookies takes an aiohttp request instead.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from typing import Protocol

from showground.model import Frozen


class Asked(Protocol):
    """What stood before the body. It may serve many requests that differ in nothing else."""

    @property
    def method(self) -> str: ...
    @property
    def path(self) -> str: ...
    @property
    def match(self) -> Mapping[str, str]:
        """What the path's `{names}` stand for, decoded."""
        ...

    @property
    def headers(self) -> Mapping[str, str]:
        """By name, in any case of letters; of a name that came several times, the first."""
        ...

    @property
    def lower_headers(self) -> Mapping[str, str]:
        """By lower-case name; of a name that came several times, the last."""
        ...

    @property
    def query_string(self) -> str:
        """Empty when there is none."""
        ...

    @property
    def query(self) -> Mapping[str, str]:
        """Of a name that came several times, the first value."""
        ...


class Answer(Frozen, frozen=True, kw_only=True):
    body: bytes
    status: int = 200


Admit = Callable[[Asked], Awaitable[None]]
"""Raises `ShowgroundError` unless the caller may ask."""
Exchange = Callable[[Asked, bytes], Awaitable[Answer]]
"""Takes the body (at most 8 MiB) and gives JSON; raises `ShowgroundError`, which is answered in the one JSON shape."""


class Exchanges(Protocol):
    """Serves routes of this kind; the web server is one."""

    def exchange(
        self, method: str, path: str, handler: Exchange, scope: str | None, early: Admit | None = None
    ) -> None:
        """Serve *path*. *scope* is what the caller's token must cover for the community and app of the path.

        A route whose path names neither checks the token in its handler, and may do so roughly in *early*, which is asked before
        a body is waited for, and not at all when it is there already.
        """
        ...
