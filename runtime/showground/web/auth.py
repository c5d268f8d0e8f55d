"""Who may call what: bearer tokens with scopes on the API."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Collection, Mapping
from typing import Protocol

from aiohttp import web

from showground.errors import ShowgroundError
from showground.exchange import Admit, Asked

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]


class TokenCheck(Protocol):
    async def __call__(self, token: str, scope: str, community: str | None, app: str | None, /) -> None:
        """Return when *token* covers *scope* there; raises `unauthorized` or `forbidden`."""
        ...


class Head(Protocol):
    """What is needed of a request's head."""

    @property
    def method(self) -> str: ...
    @property
    def headers(self) -> Mapping[str, str]: ...
    @property
    def query(self) -> Mapping[str, str]: ...


def bearer_token(request: Head) -> str:
    """The token of `Authorization: Bearer …` (RFC 6750 section 2.1), else of `?access_token=` (section 2.3).

    The query form exists because browsers cannot set headers on WebSockets and EventSource; it is accepted on GET alone.
    """
    header = request.headers.get("Authorization", "")
    kind, _, token = header.partition(" ")
    if kind.lower() == "bearer" and token:
        return token.strip()
    if request.method == "GET" and "access_token" in request.query:
        return request.query["access_token"]
    raise ShowgroundError(
        "unauthorized",
        "no token was sent",
        "Authorization",
        "Send `Authorization: Bearer <token>`; `showground token` makes one.",
    )


def guarded(handler: Handler, scope: str, check: TokenCheck) -> Handler:
    """*handler* behind a token that covers *scope* for the community and app that the path names."""

    async def guard(request: web.Request) -> web.StreamResponse:
        match = request.match_info
        await check(bearer_token(request), scope, match.get("community"), match.get("app"))
        return await handler(request)

    return guard


class EmitCheck(Protocol):
    async def __call__(self, token: str, communities: Collection[str], /) -> None: ...


def admitting(scope: str, check: TokenCheck) -> Admit:
    """The same for a short exchange."""

    async def admit(asked: Asked) -> None:
        match = asked.match
        await check(bearer_token(asked), scope, match.get("community"), match.get("app"))

    return admit


def emit_authorization(check: EmitCheck) -> Callable[[Asked, Collection[str]], Awaitable[None]]:
    """What `events.routes` asks before it takes events in."""

    async def authorize(asked: Asked, communities: Collection[str]) -> None:
        await check(bearer_token(asked), communities)

    return authorize
