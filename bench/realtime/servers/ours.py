"""Our plugin's own WebSocket endpoint on aiohttp and uvloop. With `redis`, publications go through a real Redis."""

from __future__ import annotations

import asyncio
import sys
import tempfile
from collections.abc import Callable
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any

import uvloop
from aiohttp import web

from showground.clock import SystemClock
from showground.hookspecs import Services
from showground.keys import KeySpace, installation_id
from showground_realtime.channels import open_memory, open_redis
from showground_realtime.endpoints import Endpoints

sys.path.insert(0, str(Path(__file__).parent))
from publishing import obey

INSTALLATION = installation_id("server-push", "playground")
OPTIONS = {"messages_per_s": 1_000_000, "connections": 10_000}
"""The quota is out of the way: it is the fan-out that is measured. Everything else is as shipped."""


class BenchRouter:
    """Implements `hookspecs.Router`: every route open, every origin allowed."""

    def __init__(self, app: web.Application) -> None:
        self._app = app

    def __call__(self, method: str, path: str, handler: Any, scope: str | None) -> None:
        self._app.router.add_route(method, path, handler)

    def files(self, prefix: str, package: str, folder: str) -> Callable[[str], str]:
        raise NotImplementedError

    def on_drain(self, end: Any) -> None:
        pass

    def origin_allowed(self, request: web.Request) -> bool:
        return True


async def main(through_redis: bool) -> None:
    async with AsyncExitStack() as stack:
        redis: Any = None
        nothing: Any = None
        if through_redis:
            from showground.redis.deployment import open_redis as connect
            from showground.testing.redis import running_server

            folder = stack.enter_context(tempfile.TemporaryDirectory())
            server = stack.enter_context(running_server(Path(folder)))
            redis = await stack.enter_async_context(connect(server.url, Path(folder)))
        services = Services(
            redis=redis,
            keys=KeySpace(),
            clock=SystemClock(),
            options=OPTIONS,
            deliveries=nothing,
            observe=lambda event: None,
            host_id="bench",
        )
        realtime = await stack.enter_async_context((open_redis if through_redis else open_memory)(services))
        app = web.Application()
        router = BenchRouter(app)

        def providers(key: Any) -> Any:
            return realtime

        Endpoints(providers, router.origin_allowed).add_to(router)
        runner = web.AppRunner(app, access_log=None)
        await runner.setup()
        site = web.TCPSite(runner, "127.0.0.1", 0, backlog=4096)
        await site.start()

        async def publish(payloads: list[str]) -> None:
            if len(payloads) == 1:
                await realtime.publish(INSTALLATION, "events", payloads[0].encode())
            else:
                await asyncio.gather(*(realtime.publish(INSTALLATION, "events", p.encode()) for p in payloads))

        await obey(runner.addresses[0][1], publish)


if __name__ == "__main__":
    uvloop.run(main("redis" in sys.argv[1:]))
