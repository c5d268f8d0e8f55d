"""HTTP routes of operations: health, metrics, logs, tokens."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

import msgspec
from aiohttp import web

from showground.clock import Clock
from showground.errors import ShowgroundError
from showground.hookspecs import Router
from showground.keys import InstallationId, installation_id
from showground.model import Frozen
from showground.ops.durations import duration_s
from showground.ops.health import Health
from showground.ops.logs import LEVELS, AppLogs, LogFilter, LogLine
from showground.ops.metrics import CONTENT_TYPE, Metrics
from showground.ops.tokens import Token, Tokens
from showground.tasks import Tasks

MAX_LOG_LINES = 10_000
MAX_FOLLOWERS = 200
KEEP_ALIVE_S = 15.0


class NewToken(Frozen, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Body of `POST /api/v1/tokens`."""

    name: str
    scopes: tuple[str, ...]
    community: str | None = None
    app: str | None = None
    ttl_s: float | None = None


class OpsRoutes:
    def __init__(
        self,
        health: Health,
        metrics: Metrics,
        logs: AppLogs,
        tokens: Tokens,
        clock: Clock,
        is_installed: Callable[[InstallationId], bool],
    ) -> None:
        self._health = health
        self._metrics = metrics
        self._logs = logs
        self._tokens = tokens
        self._clock = clock
        self._is_installed = is_installed
        self._drained = asyncio.Event()
        self._followers = 0

    def register(self, router: Router) -> None:
        router("GET", "/healthz", self.healthz, None)
        router("GET", "/readyz", self.readyz, None)
        router("GET", "/metrics", self.metrics, "read")
        router("GET", "/api/v1/communities/{community}/apps/{app}/logs", self.logs, "read")
        router("GET", "/api/v1/tokens", self.list_tokens, "admin")
        router("POST", "/api/v1/tokens", self.create_token, "admin")
        router("DELETE", "/api/v1/tokens/{id}", self.revoke_token, "admin")
        router.on_drain(self._end_streams)

    async def healthz(self, request: web.Request) -> web.Response:
        """The process runs and its loop turns. Nothing else: who restarts on this must not restart because Redis is away."""
        return web.json_response({"status": "alive"})

    async def readyz(self, request: web.Request) -> web.Response:
        readiness = self._health.readiness()
        return web.Response(
            body=msgspec.json.encode(readiness),
            status=200 if readiness.ready else 503,
            content_type="application/json",
            headers={"Cache-Control": "no-store"},
        )

    async def metrics(self, request: web.Request) -> web.Response:
        return web.Response(body=self._metrics.exposition(), headers={"Content-Type": CONTENT_TYPE})

    async def logs(self, request: web.Request) -> web.StreamResponse:
        """`?since=15m&level=warning&invocation=…&limit=1000`, as NDJSON; with `follow=1`, then each new line as it comes."""
        installation = installation_id(request.match_info["app"], request.match_info["community"])
        if not self._is_installed(installation):
            raise ShowgroundError("not_found", f"{installation} is not installed", "app")
        wanted, limit, follow = self._asked(request)
        if not follow:
            lines = await self._logs.read(installation, wanted, limit)
            return web.Response(body=b"".join(map(_ndjson, lines)), content_type="application/x-ndjson")
        if self._followers >= MAX_FOLLOWERS:
            raise ShowgroundError("overloaded", f"{MAX_FOLLOWERS} clients follow logs already", "logs", retry_after=5)
        response = web.StreamResponse(headers={"Content-Type": "application/x-ndjson", "Cache-Control": "no-store"})
        self._followers += 1
        try:
            await response.prepare(request)
            await self._stream(response, installation, wanted, limit)
        finally:
            self._followers -= 1
        return response

    async def _stream(
        self, response: web.StreamResponse, installation: InstallationId, wanted: LogFilter, limit: int
    ) -> None:
        """Until the client goes, or the host stops. `write` waits for a slow client, so nothing piles up here."""
        writing = asyncio.Lock()

        async def send(data: bytes) -> None:
            async with writing:
                await response.write(data)

        async def pass_on() -> None:
            try:
                async for line in self._logs.follow(installation, wanted, limit):
                    await send(_ndjson(line))
            except ConnectionError:
                pass
            except ShowgroundError as error:
                await send(_ndjson(LogLine(at_ms=self._clock.now_ms(), level="error", text=str(error), stream="host")))

        async def keep_alive() -> None:
            # An empty line tells the client that the host lives, and tells us when the client is gone.
            try:
                while True:
                    await self._clock.sleep(KEEP_ALIVE_S)
                    await send(b"\n")
            except ConnectionError:
                pass

        async with Tasks() as tasks:
            ends = [
                tasks.start("logs: follow", pass_on()),
                tasks.start("logs: keep alive", keep_alive()),
                tasks.start("logs: end on drain", self._drained.wait()),
            ]
            await asyncio.wait(ends, return_when=asyncio.FIRST_COMPLETED)

    async def _end_streams(self) -> None:
        self._drained.set()

    def _asked(self, request: web.Request) -> tuple[LogFilter, int, bool]:
        query = request.query
        level = query.get("level", "debug")
        if level not in LEVELS:
            raise ShowgroundError("invalid", f"{level!r} is no level", "level", f"Use one of {', '.join(LEVELS)}.")
        since = duration_s(query["since"], "since") if "since" in query else None
        try:
            limit = int(query.get("limit", "1000"))
        except ValueError:
            limit = 0
        if not 1 <= limit <= MAX_LOG_LINES:
            raise ShowgroundError("invalid", "limit must be a number", "limit", f"Use 1 to {MAX_LOG_LINES}.")
        wanted = LogFilter(
            since_ms=self._clock.now_ms() - since * 1000 if since is not None else 0,
            level=level,
            invocation=query.get("invocation"),
        )
        return wanted, limit, query.get("follow", "") not in ("", "0", "false")

    async def list_tokens(self, request: web.Request) -> web.Response:
        return _json({"tokens": [_shown(token) for token in await self._tokens.list()]})

    async def create_token(self, request: web.Request) -> web.Response:
        """The answer is the only place where the token itself is ever shown."""
        try:
            asked = msgspec.json.decode(await request.read(), type=NewToken)
        except (msgspec.DecodeError, UnicodeDecodeError) as error:
            raise ShowgroundError("invalid", str(error), "body", "Send name and scopes.") from error
        secret, token = await self._tokens.create(
            asked.name, asked.scopes, community=asked.community, app=asked.app, ttl_s=asked.ttl_s
        )
        return _json({"token": secret, **_shown(token)}, status=201)

    async def revoke_token(self, request: web.Request) -> web.Response:
        await self._tokens.revoke(request.match_info["id"])
        return _json({"revoked": request.match_info["id"]})


def _ndjson(line: LogLine) -> bytes:
    return (
        msgspec.json.encode(
            {
                "at_ms": line.at_ms,
                "level": line.level,
                "stream": line.stream,
                "invocation": line.invocation,
                "version": line.version,
                "text": line.text,
            }
        )
        + b"\n"
    )


def _shown(token: Token) -> dict[str, object]:
    return {
        "id": token.id,
        "name": token.name,
        "scopes": token.scopes,
        "community": token.community,
        "app": token.app,
        "created_at_ms": token.created_at_ms,
        "expires_at_ms": token.expires_at_ms,
        "last_used_ms": token.last_used_ms,
    }


def _json(document: object, status: int = 200) -> web.Response:
    return web.Response(
        body=msgspec.json.encode(document),
        status=status,
        content_type="application/json",
        headers={"Cache-Control": "no-store"},
    )
