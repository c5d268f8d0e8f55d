"""Short exchanges (`showground.exchange`) on the way through aiohttp."""

from __future__ import annotations

from collections.abc import Sequence

from aiohttp import web

from showground.exchange import Admit, Answer, Asked, Exchange
from showground.web.auth import Handler
from showground.web.connections import connection_of


def asked_of(request: web.BaseRequest, match: web.UrlMappingMatchInfo) -> Asked:
    return Asked(request.method, request.path, match, request.headers, request.query_string)


def by_aiohttp(admits: Sequence[Admit], handler: Exchange) -> Handler:
    """A handler of aiohttp's that admits, reads the body, and tells the connection what answered."""

    async def route(asked: Asked, body: bytes) -> Answer:
        for admit in admits:
            await admit(asked)
        return await handler(asked, body)

    async def serve(request: web.Request) -> web.Response:
        asked = asked_of(request, request.match_info)
        connection = connection_of(request)
        try:
            for admit in admits:
                await admit(asked)
            answer = await handler(asked, await request.read())
            if connection is not None:
                connection.learn(route, request, asked)
        finally:
            if connection is not None:
                connection.answers_shortly()
        return web.Response(body=answer.body, status=answer.status, content_type="application/json")

    return serve
