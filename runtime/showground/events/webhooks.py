"""Webhooks of other services, each signed as Standard Webhooks has it, turned into events of a community.

`POST /api/v1/webhooks/{name}` needs no token: the signature says who sends. Rules: the Standard Webhooks specification
(https://github.com/standard-webhooks/standard-webhooks/blob/main/spec/standard-webhooks.md), symmetric signatures.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import msgspec
from aiohttp import web

from showground.apps.secrets import SecretBox
from showground.clock import Clock
from showground.deliveries.routes import Route
from showground.errors import Problem, ShowgroundError
from showground.events.catalogue import Catalogue
from showground.events.cloudevents import MAX_DATA_BYTES, Event
from showground.events.intake import Intake
from showground.keys import COMMUNITY_NAME
from showground.settings import WebhookSettings

TOLERANCE_S = 300
"""How far the sender's clock may differ from ours, and how late a repeated request may come under its first signature."""
MIN_SECRET_BYTES, MAX_SECRET_BYTES = 24, 64
MAX_ID = 256
SECRET_PREFIX, VERSION = "whsec_", "v1"
OWNER = "webhook"
"""Whose secrets these are, to the box that seals them."""


class Signatures:
    """Verifies what one sender signs."""

    def __init__(self, secrets: Sequence[bytes], clock: Clock) -> None:
        self._secrets = secrets
        self._clock = clock

    def verify(self, headers: Mapping[str, str], body: bytes) -> str:
        """The webhook's id, the same in every repetition. Raises `unauthorized`."""
        found = [headers.get(f"webhook-{name}", "") for name in ("id", "timestamp", "signature")]
        message_id, timestamp, signatures = found
        if not all(found) or len(message_id) > MAX_ID or not message_id.isascii() or not message_id.isprintable():
            raise _refused("webhook-id, webhook-timestamp or webhook-signature is missing or malformed")
        if not (timestamp.isascii() and timestamp.isdigit() and len(timestamp) <= 12):
            raise _refused("webhook-timestamp is not a number of seconds")
        if abs(int(timestamp) - self._clock.now_ms() / 1000) > TOLERANCE_S:
            raise _refused(f"webhook-timestamp is more than {TOLERANCE_S} s from this host's clock")
        text = f"{message_id}.{timestamp}.".encode() + body
        sent = [part.partition(",")[2] for part in signatures.split(" ") if part.startswith(f"{VERSION},")]
        # every pair is compared, so that the time says nothing about which was nearly right
        good = [
            hmac.compare_digest(_sign(secret, text), candidate.encode("utf-8", "surrogateescape"))
            for secret in self._secrets
            for candidate in sent
        ]
        if not any(good):
            raise _refused("no signature is by a secret of this webhook")
        return message_id


class Webhooks:
    """All that the settings name. Raises `misconfigured` with every fault."""

    def __init__(
        self,
        settings: Mapping[str, WebhookSettings],
        catalogue: Catalogue,
        intake: Intake,
        clock: Clock,
        environ: Mapping[str, str],
        box: SecretBox,
        learn: Callable[[str], None],
    ) -> None:
        """*learn* is told each secret, to keep it out of logs."""
        self._settings = settings
        self._intake = intake
        self._box = box
        problems: list[Problem] = []
        self._signatures: dict[str, Signatures] = {}
        for name, webhook in settings.items():
            where = f"webhooks.{name}"
            if not COMMUNITY_NAME.fullmatch(webhook.community):
                problems.append(Problem(where, f"{webhook.community!r} is not a community name"))
            if webhook.event not in catalogue:
                problems.append(Problem(where, f"there is no event type {webhook.event!r}", "See docs/events.md."))
            texts = [environ.get(variable, "") for variable in webhook.secret_variables]
            texts += [box.open(OWNER, name, sealed) for sealed in webhook.sealed_secrets]
            for text in texts:
                learn(text)
            secrets = [secret_bytes(text) for text in texts]
            if not secrets or None in secrets:
                problems.append(
                    Problem(
                        where,
                        "it has no secret" if not secrets else "a secret is missing or malformed",
                        f"Each is {SECRET_PREFIX} and 24 to 64 bytes in base64, in a variable or sealed.",
                    )
                )
            self._signatures[name] = Signatures([secret for secret in secrets if secret is not None], clock)
        if problems:
            raise ShowgroundError("misconfigured", "webhooks are wrong", "webhooks", details=problems)

    def routes(self, router: Route) -> None:
        router("POST", "/api/v1/webhooks/{name}", self.receive, None)
        router("POST", "/api/v1/webhooks/{name}/seal", self.seal, "admin")

    async def receive(self, request: web.Request) -> web.Response:
        """202 once the event is durable; a repetition within 24 h gets the same answer, and no second delivery."""
        name = request.match_info["name"]
        webhook = self._settings.get(name)
        if webhook is None:
            raise ShowgroundError("not_found", "there is no such webhook", "webhook", "The settings name it.")
        if (request.content_length or 0) > MAX_DATA_BYTES:
            raise _too_large()
        body = await request.read()
        if len(body) > MAX_DATA_BYTES:
            raise _too_large()
        message_id = self._signatures[name].verify({k.lower(): v for k, v in request.headers.items()}, body)
        event = Event(
            id=message_id,
            source=f"webhook/{name}",
            type=webhook.event,
            community=webhook.community,
            data=_payload(webhook, body),
        )
        accepted = await self._intake.accept([event])
        deliveries = sum(len(part.deliveries) for part in accepted.events)
        return web.json_response({"id": message_id, "deliveries": deliveries}, status=202)

    async def seal(self, request: web.Request) -> web.Response:
        """Body: `{"secret": "whsec_…"}`. The answer has it encrypted, for `sealed_secrets`; nothing is stored."""
        try:
            asked = msgspec.json.decode(await request.read(), type=dict[str, str])
        except (msgspec.DecodeError, UnicodeDecodeError) as error:
            raise ShowgroundError("bad_request", str(error), "body", 'Send {"secret": "whsec_…"}.') from None
        if secret_bytes(asked.get("secret", "")) is None:
            raise ShowgroundError(
                "invalid", "that is no secret", "secret", f"It is {SECRET_PREFIX} and 24 to 64 bytes in base64."
            )
        sealed = self._box.seal(OWNER, request.match_info["name"], asked["secret"])
        return web.json_response({"sealed": sealed}, headers={"Cache-Control": "no-store"})


def secret_bytes(text: str) -> bytes | None:
    """The key in a secret as services show it; None when it is none."""
    try:
        found = base64.b64decode(text.removeprefix(SECRET_PREFIX), validate=True)
    except (binascii.Error, ValueError):
        return None
    return found if MIN_SECRET_BYTES <= len(found) <= MAX_SECRET_BYTES else None


def _sign(secret: bytes, text: bytes) -> bytes:
    return base64.b64encode(hmac.new(secret, text, hashlib.sha256).digest())


def _payload(webhook: WebhookSettings, body: bytes) -> bytes:
    if not webhook.fields:
        return body
    try:
        document = msgspec.json.decode(body)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise ShowgroundError("bad_request", f"the body is not JSON: {error}", "body") from None
    found = {field: _at(document, path) for field, path in webhook.fields.items()}
    return msgspec.json.encode({field: value for field, value in found.items() if value is not None})


def _at(document: Any, path: str) -> Any:
    for name in path.split("."):
        document = document.get(name) if isinstance(document, dict) else None
    return document


def _refused(reason: str) -> ShowgroundError:
    return ShowgroundError("unauthorized", reason, "webhook", "Compare the secret and the clock with the sender's.")


def _too_large() -> ShowgroundError:
    return ShowgroundError("too_large", "the body is too large", "body", f"At most {MAX_DATA_BYTES} bytes.")
