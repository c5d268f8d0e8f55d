"""Short exchanges (`showground.exchange`) on the way through aiohttp."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping

from aiohttp import HttpVersion11, web
from multidict import CIMultiDict, MultiDict

from showground.exchange import Admit, Answer, Asked, Exchange
from showground.web.answers import AnswerBytes, WrittenResponse
from showground.web.connections import PatientConnection

ConnectedHandler = Callable[[web.Request, PatientConnection | None], Awaitable[web.StreamResponse]]


class OneAsked:
    """`Asked` of a request that aiohttp has read; what nobody looks at is not worked out."""

    __slots__ = ("_request", "headers", "match")

    def __init__(self, request: web.Request) -> None:
        self._request = request
        self.match: Mapping[str, str] = request.match_info
        self.headers: Mapping[str, str] = request.headers

    @property
    def method(self) -> str:
        return self._request.method

    @property
    def path(self) -> str:
        return self._request.path

    @property
    def query_string(self) -> str:
        return self._request.query_string

    @property
    def query(self) -> Mapping[str, str]:
        return self._request.query

    @property
    def lower_headers(self) -> Mapping[str, str]:
        return {name.lower(): value for name, value in self.headers.items()}


class KnownAsked:
    """`Asked` of all requests with the same head. Nothing of the connection that the first of them came by is kept."""

    __slots__ = ("headers", "lower_headers", "match", "method", "path", "query", "query_string")

    def __init__(self, asked: Asked) -> None:
        self.method = asked.method
        self.path = asked.path
        self.match: Mapping[str, str] = dict(asked.match)
        self.headers: Mapping[str, str] = CIMultiDict(asked.headers)
        self.lower_headers = asked.lower_headers
        self.query_string = asked.query_string
        self.query: Mapping[str, str] = MultiDict(asked.query)


def by_aiohttp(admit: Admit | None, early: Admit | None, handler: Exchange, answers: AnswerBytes) -> ConnectedHandler:
    """A handler of aiohttp's that admits, reads the body, and tells the connection what answered."""

    async def route(asked: Asked, body: bytes) -> Answer:
        if admit is not None:
            await admit(asked)
        return await handler(asked, body)

    async def serve(request: web.Request, connection: PatientConnection | None) -> web.StreamResponse:
        asked = OneAsked(request)
        try:
            if admit is not None:
                await admit(asked)
            if early is not None:
                await early(asked)
            answer = await handler(asked, await request.read())
            if connection is not None:
                connection.learn(route, request, asked)
        finally:
            if connection is not None:
                connection.answers_shortly()
        if request.keep_alive and request.version == HttpVersion11 and _is_read(request):
            return WrittenResponse(answer.status, answers.of(answer))
        return web.Response(body=answer.body, status=answer.status, content_type="application/json")

    return serve


def _is_read(request: web.Request) -> bool:
    """Whether the client has read all that was sent. One that does not has to wait, which aiohttp's own responses see to."""
    return request.transport is not None and request.transport.get_write_buffer_size() == 0
