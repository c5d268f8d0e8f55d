"""Direct invocation: run an installation's trigger now and answer with what it returned.

Unlike an event, nothing is queued: the caller waits, hears of every failure, and decides itself about another try.
"""

from __future__ import annotations

import msgspec

from showground.dispatch import Dispatch, InvokeRequest
from showground.errors import ShowgroundError
from showground.exchange import Answer, Asked, Exchanges
from showground.keys import installation_id

_read_object = msgspec.json.Decoder(dict[str, msgspec.Raw]).decode


class InvokeRoutes:
    def __init__(self, dispatch: Dispatch) -> None:
        self._dispatch = dispatch

    def register(self, router: Exchanges) -> None:
        base = "/api/v1/communities/{community}/apps/{app}/invoke"
        router.exchange("POST", base + "/{event}", self.trigger, "emit")

    async def trigger(self, asked: Asked, body: bytes) -> Answer:
        """The body is the event's payload (a JSON object); the answer is the JSON that the handlers returned.

        `?timeout=` shortens the deadline (seconds). Errors: `not_found` (app not installed, or no trigger for the event),
        `bad_request` (body), and whatever the handler's end is: `app_error`, `deadline_exceeded`, `worker_died`, `overloaded`.
        """
        match = asked.match
        event = match["event"]
        installation = self._dispatch.installation(installation_id(match["app"], match["community"]))
        if installation.version.registration.trigger(event) is None:
            known = ", ".join(t.event for t in installation.version.registration.triggers) or "none"
            raise ShowgroundError(
                "not_found", f"{installation.app} has no trigger for {event}", "event", f"It has: {known}."
            )
        body = body or b"{}"
        try:
            _read_object(body)
        except msgspec.DecodeError as error:
            raise ShowgroundError("bad_request", f"the body is not a JSON object: {error}", "body") from None
        result = await self._dispatch.invoke(
            InvokeRequest(
                installation=installation.id, kind="trigger", name=event, payload=body, timeout_s=_timeout(asked)
            )
        )
        return Answer(body=result or b"null")


def _timeout(asked: Asked) -> float | None:
    if not asked.query_string or (given := asked.query.get("timeout")) is None:
        return None
    try:
        seconds = float(given)
    except ValueError:
        seconds = -1.0
    if not 0 < seconds < 1e6:
        raise ShowgroundError("invalid", "timeout is no number of seconds", "timeout", "Give it as ?timeout=5.")
    return seconds
