"""The HTTP API for an installation's keys, below `/api/v1/communities/{community}/apps/{app}/kv`.

`{community}` may be `*` for the keys that the app shares over all communities.
"""

from __future__ import annotations

import msgspec
from aiohttp import web

from showground.capabilities import KEY_VALUE, Argument, KeyValue, KeyValueReply
from showground.errors import ShowgroundError
from showground.hookspecs import Providers, Router
from showground.keys import installation_id

BASE = "/api/v1/communities/{community}/apps/{app}/kv"
LINE_BYTES = 64 * 1024 * 1024
"""Longest record of an import."""


class Api:
    def __init__(self, providers: Providers) -> None:
        self._providers = providers

    def add_to(self, router: Router) -> None:
        router("GET", BASE, self.usage, "read")
        router("POST", f"{BASE}/commands", self.run, "admin")
        router("GET", f"{BASE}/export", self.export, "admin")
        router("POST", f"{BASE}/import", self.load, "admin")

    @property
    def _kv(self) -> KeyValue:
        return self._providers(KEY_VALUE)

    async def usage(self, request: web.Request) -> web.StreamResponse:
        used, allowed = await self._kv.usage(scope_of(request))
        return web.json_response({"bytes_used": used, "bytes_allowed": allowed})

    async def run(self, request: web.Request) -> web.StreamResponse:
        """Body: `{"command": ["HGETALL", "scores"]}`. Answers `{"reply": …}`; only commands that the app may use."""
        body = _json(await request.read())
        command = body.get("command") if isinstance(body, dict) else None
        if not isinstance(command, list) or not command:
            raise ShowgroundError("invalid", "the body names no command", "command", 'Send {"command": ["GET", "x"]}.')
        words: list[Argument] = command
        reply = (await self._kv.execute(scope_of(request), [words]))[0]
        if isinstance(reply, Exception):
            raise reply
        return web.json_response({"reply": _printable(reply)})

    async def export(self, request: web.Request) -> web.StreamResponse:
        """One JSON record a line, for each key."""
        response = web.StreamResponse(headers={"Content-Type": "application/x-ndjson"})
        scope = scope_of(request)
        await response.prepare(request)
        async for record in self._kv.export(scope):
            await response.write(msgspec.json.encode(record) + b"\n")
        await response.write_eof()
        return response

    async def load(self, request: web.Request) -> web.StreamResponse:
        """Records as `export` gives them. Each is written whole or not; the first bad one ends the import and is named."""
        scope = scope_of(request)
        number = 0
        buffer = b""
        async for chunk in request.content.iter_any():
            *lines, buffer = (buffer + chunk).split(b"\n")
            if len(buffer) > LINE_BYTES:
                raise ShowgroundError(
                    "too_large", f"line {number + 1} is longer than {LINE_BYTES} bytes", "redis.import"
                )
            for line in lines:
                number += await self._load_line(scope, line, number + 1)
        number += await self._load_line(scope, buffer, number + 1)
        return web.json_response({"imported": number})

    async def _load_line(self, scope: str, line: bytes, number: int) -> int:
        if not line.strip():
            return 0
        try:
            record = _json(line)
            if not isinstance(record, dict):
                raise ShowgroundError("invalid", "a record is a JSON object", "redis.import")
            await self._kv.load(scope, record)
        except ShowgroundError as error:
            error.where = f"record {number}"
            raise
        return 1


def scope_of(request: web.Request) -> str:
    app, community = request.match_info["app"], request.match_info["community"]
    if community == "*":
        return installation_id(app, "x").partition(":")[0] + ":*"
    return installation_id(app, community)


def _json(body: bytes) -> object:
    try:
        return msgspec.json.decode(body)
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise ShowgroundError("bad_request", f"this is not JSON: {error}", "body") from None


def _printable(reply: KeyValueReply) -> KeyValueReply:
    if isinstance(reply, bytes):
        return reply.decode("utf-8", "backslashreplace")
    if isinstance(reply, list):
        return [_printable(item) for item in reply]
    return reply
