"""The HTTP server: routes with their scopes, the middleware every answer passes, start and stop."""

from __future__ import annotations

import asyncio
import functools
import logging
import os
import time
from collections.abc import Awaitable, Callable, Mapping
from contextlib import suppress

from aiohttp import web

from showground.errors import ShowgroundError
from showground.exchange import Admit, Exchange
from showground.web.answers import AnswerBytes
from showground.web.auth import Handler, TokenCheck, admitting, guarded
from showground.web.connections import Doorway, Patience, PatientConnection, connection_of
from showground.web.errors import API_HEADERS, Refusing, error_response, failure, has_gone
from showground.web.exchanges import ConnectedHandler, by_aiohttp
from showground.web.origins import Origins, is_loopback
from showground.web.shortcut import Shortcut, ShortcutConnection
from showground.web.static import Find, StaticFiles

log = logging.getLogger("showground.web")

ALWAYS_ANSWERED = frozenset({"/healthz", "/readyz", "/metrics"})
CONNECTIONS = 30_000
NEVER_S = 1e8
"""For what aiohttp would do after so many seconds, and `web.connections` does instead."""
AT_ONCE_S = 1.0
"""For closing connections whose requests are not waited for."""
MAX_BODY_BYTES = 8 * 1024 * 1024
"""What a handler may read at once; uploads of bundles are streamed and have their own limit."""


class WebServer:
    """One aiohttp application on one address. It is itself the `hookspecs.Router`; give all routes before `start`."""

    def __init__(
        self,
        check: TokenCheck,
        origins: Origins,
        is_draining: Callable[[], bool],
        patience: Patience | None = None,
        room: int = CONNECTIONS,
        find: Find | None = None,
        shortcut: bool = True,
    ) -> None:
        self._check = check
        self._origins = origins
        self._is_draining = is_draining
        self._patience = patience or Patience()
        self._room = room
        self._find = find
        self.builds: dict[str, Mapping[str, bytes]] = {}
        """Build → name → content of all files that are served."""
        self._answers = AnswerBytes(time.time, API_HEADERS)
        self.shortcut = Shortcut(self._answers, failure, is_draining) if shortcut else None
        self._app = web.Application(client_max_size=MAX_BODY_BYTES)
        self._app.on_response_prepare.append(_add_headers)
        self.routes: list[tuple[str, str, str | None]] = []
        """Method, path and scope of all that is served, in the order in which paths are tried."""
        self._ends: list[Callable[[], Awaitable[None]]] = []
        self._is_local = False
        self._drain_s = 0.0
        self._runner: web.AppRunner | None = None
        self._listener: asyncio.Server | None = None
        self.doorway: Callable[[], asyncio.Protocol] | None = None
        """Makes what serves one connection; None before `start`."""

    def __call__(
        self,
        method: str,
        path: str,
        handler: Callable[[web.Request], Awaitable[web.StreamResponse]],
        scope: str | None,
    ) -> None:
        self.routes.append((method, path, scope))
        served: Handler = handler if scope is None else guarded(handler, scope, self._check)
        self._app.router.add_route(method, path, self._contained(served, path in ALWAYS_ANSWERED))

    def exchange(
        self, method: str, path: str, handler: Exchange, scope: str | None, early: Admit | None = None
    ) -> None:
        self.routes.append((method, path, scope))
        admit = None if scope is None else admitting(scope, self._check)
        self._app.router.add_route(
            method, path, self._connected(by_aiohttp(admit, early, handler, self._answers), always=False)
        )

    def files(self, prefix: str, package: str, folder: str) -> Callable[[str], str]:
        files = StaticFiles(package, folder, prefix, self._find)
        self.builds[files.build] = files.contents
        files.routes(self)
        return files.url

    def on_drain(self, end: Callable[[], Awaitable[None]]) -> None:
        self._ends.append(end)

    def origin_allowed(self, request: web.Request) -> bool:
        return self._origins.permits(request)

    async def start(self, listen: str, port: int, drain_s: float) -> int:
        """Listen; returns the port. Raises `misconfigured` when the address cannot be had."""
        self._is_local = is_loopback(listen)
        self._drain_s = drain_s
        self._app.router.add_route("*", "/{path:.*}", self._contained(self._nothing_here, True))
        self._runner = web.AppRunner(self._app, shutdown_timeout=drain_s)
        await self._runner.setup()
        server = self._runner.server
        assert server is not None
        protocol = functools.partial(
            Refusing,
            server,
            loop=asyncio.get_running_loop(),
            access_log=None,  # type: ignore[arg-type]  # aiohttp takes it for none: addresses may carry tickets and tokens
            keepalive_timeout=NEVER_S,
            auto_decompress=False,  # a small body must not become a large one; see `_contained`
        )
        self.doorway = Doorway(protocol, self._patience, self._room, self._connection)
        try:
            self._listener = await asyncio.get_running_loop().create_server(
                self.doorway, listen, port, backlog=1024, reuse_address=True
            )
        except OSError as error:
            await self._runner.cleanup()
            raise ShowgroundError(
                "misconfigured",
                f"cannot listen on {listen}:{port}: {os.strerror(error.errno) if error.errno else error}",
                "host.port",
                "Choose another port with --port, or end what uses this one.",
            ) from error
        bound: int = self._listener.sockets[0].getsockname()[1]
        return bound

    def _connection(
        self, server: Callable[[], asyncio.Protocol], patience: Patience, doorway: Doorway
    ) -> PatientConnection:
        if self.shortcut is None:
            return PatientConnection(server, patience, doorway)
        return ShortcutConnection(server, patience, doorway, self.shortcut)

    async def drain(self, drain_s: float) -> None:
        """End long-lived answers, each owner in its own way, within *drain_s* seconds."""
        ending = [asyncio.create_task(_ended(end), name="web: drain") for end in self._ends]
        if ending:
            _, late = await asyncio.wait(ending, timeout=drain_s)
            for task in late:
                task.cancel()
            await asyncio.gather(*late, return_exceptions=True)

    async def stop(self, *, at_once: bool = False) -> None:
        """Take no more connections, let running requests finish within the drain time (or not, *at_once*), close the rest."""
        if self._listener is not None:
            self._listener.close()
            self._listener = None
        if self.shortcut is not None:
            await self.shortcut.stop(0.0 if at_once else self._drain_s)
        if self._runner is not None:
            runner, self._runner = self._runner, None
            with suppress(asyncio.TimeoutError):
                async with asyncio.timeout(AT_ONCE_S if at_once else None):
                    await runner.cleanup()

    def _contained(self, handler: Handler, always: bool) -> Handler:
        async def without_connection(request: web.Request, _: PatientConnection | None) -> web.StreamResponse:
            return await handler(request)

        return self._connected(without_connection, always)

    def _connected(self, handler: ConnectedHandler, always: bool) -> Handler:
        """*handler* behind what every request has to pass, and what it raises as an answer.

        One call around the handler, and no middleware of aiohttp's, which would lay two more around every one.
        """

        async def serve(request: web.Request) -> web.StreamResponse:
            if not always and self._is_draining():
                response = error_response(
                    ShowgroundError(
                        "not_ready", "this host is stopping", request.path, "Ask another host.", retry_after=1
                    )
                )
                response.force_close()
                return response
            connection = connection_of(request)
            if connection is not None:
                connection.began(request)
            try:
                if "Content-Encoding" in request.headers:
                    raise _refused_coding(request)
                if self._is_local and not always and not self._origins.names(request):
                    raise _refused_name(request)
                return await handler(request, connection)
            except Exception as error:
                return failure(request, error, has_gone(request))
            finally:
                if connection is not None:
                    connection.ended()

        return serve

    async def _nothing_here(self, request: web.Request) -> web.StreamResponse:
        """The last route: no other took the request."""
        others = list(self._app.router.resources())[:-1]
        allowed = {method for resource in others for method in (await resource.resolve(request))[1]}
        raise web.HTTPMethodNotAllowed(request.method, allowed) if allowed else web.HTTPNotFound


def _refused_coding(request: web.Request) -> ShowgroundError:
    coding = request.headers["Content-Encoding"][:40]
    return ShowgroundError("unsupported", f"a body in {coding} is not taken", "Content-Encoding", "Send it as it is.")


def _refused_name(request: web.Request) -> ShowgroundError:
    name = request.headers["Host"][:100]
    return ShowgroundError(
        "forbidden", f"this host does not know itself as {name}", "Host", "Behind a proxy, set [host] public_url."
    )


async def _ended(end: Callable[[], Awaitable[None]]) -> None:
    try:
        await end()
    except Exception:
        log.exception("a long-lived answer could not be ended properly")


async def _add_headers(request: web.Request, response: web.StreamResponse) -> None:
    for name, value in API_HEADERS.items():
        response.headers.setdefault(name, value)
