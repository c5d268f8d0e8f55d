"""Direct invocation: run an installation's trigger now and answer with what it returned.

Unlike an event, nothing is queued: the caller waits, hears of every failure, and decides itself about another try.
"""

from __future__ import annotations

import msgspec
from aiohttp import web

from showground.dispatch import Dispatch, InvokeRequest
from showground.errors import ShowgroundError
from showground.hookspecs import Router
from showground.keys import installation_id

_read_object = msgspec.json.Decoder(dict[str, msgspec.Raw]).decode


class InvokeRoutes:
    def __init__(self, dispatch: Dispatch) -> None:
        self._dispatch = dispatch

    def register(self, router: Router) -> None:
        base = "/api/v1/communities/{community}/apps/{app}/invoke"
        router("POST", base + "/{event}", self.trigger, "emit")

    async def trigger(self, request: web.Request) -> web.Response:
        """The body is the event's payload (a JSON object); the answer is the JSON that the handlers returned.

        `?timeout=` shortens the deadline (seconds). Errors: `not_found` (app not installed, or no trigger for the event),
        `bad_request` (body), and whatever the handler's end is: `app_error`, `deadline_exceeded`, `worker_died`, `overloaded`.
        """
        installation = self._dispatch.installation(
            installation_id(request.match_info["app"], request.match_info["community"])
        )
        event = request.match_info["event"]
        if installation.version.registration.trigger(event) is None:
            known = ", ".join(t.event for t in installation.version.registration.triggers) or "none"
            raise ShowgroundError(
                "not_found", f"{installation.app} has no trigger for {event}", "event", f"It has: {known}."
            )
        body = await request.read() or b"{}"
        try:
            _read_object(body)
        except msgspec.DecodeError as error:
            raise ShowgroundError("bad_request", f"the body is not a JSON object: {error}", "body") from None
        result = await self._dispatch.invoke(
            InvokeRequest(
                installation=installation.id, kind="trigger", name=event, payload=body, timeout_s=_timeout(request)
            )
        )
        return web.Response(body=result or b"null", content_type="application/json")


def _timeout(request: web.Request) -> float | None:
    if not request.query_string or "timeout" not in request.query:
        return None
    try:
        seconds = float(request.query["timeout"])
    except ValueError:
        seconds = -1.0
    if not 0 < seconds < 1e6:
        raise ShowgroundError("invalid", "timeout is no number of seconds", "timeout", "Give it as ?timeout=5.")
    return seconds
