"""The realtime plugin behind a small aiohttp application, for the tests of this folder."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from typing import Any, TypeVar

from aiohttp import ClientWebSocketResponse, web
from aiohttp.test_utils import TestClient, TestServer

import showground_realtime
from showground.capabilities import REALTIME, Realtime
from showground.keys import CapabilityKey, installation_id
from showground.plugins import Plugins
from showground.testing.services import services
from showground.testing.web import errors
from showground_realtime.channels import open_memory
from showground_realtime.endpoints import Endpoints
from showground_realtime.streams import Streams

T = TypeVar("T")
Client = TestClient[web.Request, web.Application]

SHOP = installation_id("server-push", "playground")
EVENTS = "/api/v1/communities/playground/apps/server-push/channels/events"
GOOD_ORIGIN = "https://forum.example"


class SmallRouter:
    """Implements `hookspecs.Router` over one aiohttp application."""

    def __init__(self, app: web.Application) -> None:
        self._app = app
        self.scopes: dict[tuple[str, str], str | None] = {}
        self.drains: list[Callable[[], Awaitable[None]]] = []

    def __call__(
        self, method: str, path: str, handler: Callable[[web.Request], Awaitable[web.StreamResponse]], scope: str | None
    ) -> None:
        self.scopes[method, path] = scope
        self._app.router.add_route(method, path, handler)

    def files(self, prefix: str, package: str, folder: str) -> Callable[[str], str]:
        raise AssertionError("the realtime plugin has no files")

    def on_drain(self, end: Callable[[], Awaitable[None]]) -> None:
        self.drains.append(end)

    def origin_allowed(self, request: web.Request) -> bool:
        return request.headers.get("Origin", GOOD_ORIGIN) == GOOD_ORIGIN


class Host:
    """One running server with the plugin, and a client of it."""

    def __init__(self, client: Client, realtime: Realtime, router: SmallRouter, streams: Streams) -> None:
        self.client = client
        self.realtime = realtime
        self.router = router
        self.streams = streams

    async def publish(self, *messages: bytes) -> list[str]:
        return [str(await self.realtime.publish(SHOP, "events", m)) for m in messages]

    async def connect(self, query: str = "", **headers: str) -> ClientWebSocketResponse:
        return await self.client.ws_connect(EVENTS + query, headers=headers, max_msg_size=0)

    async def drain(self) -> None:
        for end in self.router.drains:
            await end()

    @property
    def port(self) -> int:
        port = self.client.port
        assert port is not None
        return port


@asynccontextmanager
async def serve(provider: AbstractAsyncContextManager[Realtime] | None = None, **options: Any) -> AsyncIterator[Host]:
    async with provider or open_memory(services(options)) as realtime:

        def providers(key: CapabilityKey[T]) -> T:
            assert key.name == REALTIME.name
            found: Any = realtime
            return found  # type: ignore[no-any-return]  # one provider, of the one key that was asked for

        app = web.Application(middlewares=[errors], client_max_size=8 * 1024 * 1024)
        router = SmallRouter(app)
        endpoints = Endpoints(providers, router.origin_allowed)
        endpoints.add_to(router)
        async with TestClient(TestServer(app)) as client:
            host = Host(client, realtime, router, endpoints.streams)
            yield host
            await host.drain()


async def frames(socket: ClientWebSocketResponse, count: int) -> list[dict[str, Any]]:
    async with asyncio.timeout(10):
        return [await socket.receive_json() for _ in range(count)]


def plugins() -> Plugins:
    return Plugins([("realtime", showground_realtime)])
