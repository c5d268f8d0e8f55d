"""A plain aiohttp application for tests of routes, which answers errors as the host's own server does."""

from __future__ import annotations

from aiohttp import web

from showground.web.auth import Handler
from showground.web.errors import failure, has_gone


@web.middleware
async def errors(request: web.Request, handler: Handler) -> web.StreamResponse:
    try:
        return await handler(request)
    except Exception as error:
        return failure(request, error, has_gone(request))
