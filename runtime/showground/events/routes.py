"""The HTTP API of events."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Collection, Mapping
from typing import Protocol

import msgspec
from aiohttp import web

from showground.deliveries.outcomes import MAX_WAIT_S
from showground.errors import ShowgroundError
from showground.events.catalogue import Catalogue
from showground.events.cloudevents import parse
from showground.events.fanout import AcceptedEvent
from showground.events.intake import Accepted, Intake
from showground.exchange import Answer, Asked, Exchanges
from showground.keys import InstallationId
from showground.model import Json, Outcome

Authorize = Callable[[Asked, Collection[str]], Awaitable[None]]
"""Raise unless the caller may emit into these communities, which only the events themselves name. About none of them: unless the
token is good for any."""
Ended = Mapping[tuple[InstallationId, str], Outcome | None]


class Routes(Exchanges, Protocol):
    """`hookspecs.Router`, as far as it is needed here, and short exchanges."""

    def __call__(
        self,
        method: str,
        path: str,
        handler: Callable[[web.Request], Awaitable[web.StreamResponse]],
        scope: str | None,
    ) -> None: ...


def event_routes(router: Routes, intake: Intake, catalogue: Catalogue, authorize: Authorize | None = None) -> None:
    """`POST /api/v1/events` and `GET /api/v1/event-types`."""

    async def early(asked: Asked) -> None:
        _wait(asked)
        if authorize is not None:
            await authorize(asked, ())

    async def post(asked: Asked, body: bytes) -> Answer:
        wait_s = _wait(asked)
        headers = asked.lower_headers
        events = parse(headers.get("content-type", ""), headers, body)
        if authorize is not None:
            await authorize(asked, {event.community for event in events})
        accepted = await intake.accept(events)
        if not wait_s:
            return Answer(status=202, body=msgspec.json.encode(_answer(accepted, {})))
        ended = await intake.wait(accepted, wait_s)
        status = 200 if all(map(_has_ended, ended.values())) else 202
        return Answer(status=status, body=msgspec.json.encode(_answer(accepted, ended)))

    async def types(request: web.Request) -> web.Response:
        return _json(
            200,
            {
                "event_types": [
                    {"name": t.name, "description": t.description, "custom": t.custom, "schema": t.schema}
                    for t in catalogue.types()
                ]
            },
        )

    # The path names no community, so a token that is for one only is checked by `authorize`, event by event.
    router.exchange("POST", "/api/v1/events", post, "emit" if authorize is None else None, early)
    router("GET", "/api/v1/event-types", types, "read")


def _wait(asked: Asked) -> float:
    if not asked.query_string:
        return 0.0
    raw = asked.query.get("wait", "0")
    try:
        wait_s = float(raw)
    except ValueError:
        wait_s = -1.0
    if not 0 <= wait_s <= MAX_WAIT_S:
        raise ShowgroundError(
            "bad_request", f"wait={raw[:40]} is not a number of seconds from 0 to {MAX_WAIT_S:g}", "wait"
        )
    return wait_s


def _has_ended(outcome: Outcome | None) -> bool:
    return outcome is not None and outcome.status != "failed"


def _answer(accepted: Accepted, ended: Ended) -> dict[str, object]:
    return {"events": [_event(event, ended) for event in accepted.events]}


def _event(event: AcceptedEvent, ended: Ended) -> dict[str, object]:
    return {
        "id": event.id,
        "source": event.source,
        "type": event.type,
        "community": event.community,
        "deliveries": [
            {
                "id": event.delivery,
                "installation": part.installation,
                "status": "dead" if part.dead else "queued",
                **_outcome(ended.get((part.installation, event.delivery))),
            }
            for part in event.deliveries
        ],
    }


def _outcome(outcome: Outcome | None) -> dict[str, object]:
    if outcome is None:
        return {}
    told: dict[str, object] = {"status": outcome.status, "attempts": outcome.attempts}
    if outcome.result:
        told["result"] = _result(outcome.result)
    if outcome.error is not None:
        told["error"] = outcome.error
    return told


def _result(raw: bytes) -> Json:
    try:
        result: Json = msgspec.json.decode(raw)
    except msgspec.MsgspecError:
        return None
    return result


def _json(status: int, body: object) -> web.Response:
    return web.Response(status=status, body=msgspec.json.encode(body), content_type="application/json")
