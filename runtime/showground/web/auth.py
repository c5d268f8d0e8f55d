"""Who may call what: bearer tokens with scopes on the API."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Collection
from typing import Protocol

from aiohttp import web

from showground.errors import ShowgroundError

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]


class TokenCheck(Protocol):
    async def __call__(self, token: str, scope: str, community: str | None, app: str | None, /) -> None:
        """Return when *token* covers *scope* there; raises `unauthorized` or `forbidden`."""
        ...


def bearer_token(request: web.Request) -> str:
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


def emit_authorization(check: EmitCheck) -> Callable[[web.Request, Collection[str]], Awaitable[None]]:
    """What `events.routes` asks before it takes events in."""

    async def authorize(request: web.Request, communities: Collection[str]) -> None:
        await check(bearer_token(request), communities)

    return authorize
