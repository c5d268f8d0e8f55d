"""The HTTP API of dead letters."""

from __future__ import annotations

import base64
from collections.abc import Awaitable, Callable

import msgspec
from aiohttp import web

from showground.deliveries.dead_letters import DeadLetters
from showground.deliveries.records import DeadLetter
from showground.errors import ShowgroundError
from showground.keys import InstallationId, installation_id

Route = Callable[[str, str, Callable[[web.Request], Awaitable[web.StreamResponse]], str | None], None]
"""`hookspecs.Router`, as far as plain requests need it: (method, path, handler, scope)."""

PATH = "/api/v1/communities/{community}/apps/{app}/dead-letters"


def dead_letter_routes(router: Route, letters: DeadLetters) -> None:
    """List, show, redrive and purge, one or all. Whoever may read may list; payloads, redriving and purging need `admin`."""

    async def many(request: web.Request) -> web.Response:
        installation = _installation(request)
        limit, offset = _number(request, "limit", 100, 500), _number(request, "offset", 0, 1_000_000)
        found = await letters.list(installation, limit, offset)
        total = await letters.count(installation)
        return _json({"dead_letters": [letter.to_json() for letter in found], "total": total})

    async def one(request: web.Request) -> web.Response:
        letter = await letters.show(_installation(request), request.match_info["id"])
        return _json({**letter.to_json(), **_payload(letter)})

    async def redrive(request: web.Request) -> web.Response:
        await letters.redrive(_installation(request), request.match_info["id"])
        return _json({"redriven": 1}, 202)

    async def redrive_all(request: web.Request) -> web.Response:
        return _json({"redriven": await letters.redrive_all(_installation(request))}, 202)

    async def purge(request: web.Request) -> web.Response:
        await letters.purge(_installation(request), request.match_info["id"])
        return _json({"purged": 1})

    async def purge_all(request: web.Request) -> web.Response:
        return _json({"purged": await letters.purge_all(_installation(request))})

    router("GET", PATH, many, "read")
    router("POST", f"{PATH}/redrive", redrive_all, "admin")
    router("DELETE", PATH, purge_all, "admin")
    router("GET", f"{PATH}/{{id}}", one, "admin")
    router("POST", f"{PATH}/{{id}}/redrive", redrive, "admin")
    router("DELETE", f"{PATH}/{{id}}", purge, "admin")


def _installation(request: web.Request) -> InstallationId:
    return installation_id(request.match_info["app"], request.match_info["community"])


def _number(request: web.Request, name: str, default: int, most: int) -> int:
    raw = request.query.get(name, "")
    if not raw:
        return default
    if not raw.isascii() or not raw.isdigit() or len(raw) > 9 or int(raw) > most:
        raise ShowgroundError("bad_request", f"{name}={raw[:40]} is not a whole number from 0 to {most}", name)
    return int(raw)


def _payload(letter: DeadLetter) -> dict[str, object]:
    try:
        return {"payload": msgspec.json.decode(letter.delivery.payload)}
    except (msgspec.MsgspecError, UnicodeDecodeError):
        return {"payload_base64": base64.b64encode(letter.delivery.payload).decode()}


def _json(body: object, status: int = 200) -> web.Response:
    return web.Response(status=status, body=msgspec.json.encode(body), content_type="application/json")
