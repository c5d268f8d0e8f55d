"""`context.fetch`: requests to the hosts that the app was permitted, made by the host."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import msgspec

from showground.context.call import Call


@dataclass(frozen=True, slots=True)
class Response:
    """What came back. `ok` is a status of 200 to 299."""

    url: str
    """The address that answered, after redirects."""
    status: int
    headers: Mapping[str, str]
    """Lower-case names."""
    body: bytes

    @property
    def ok(self) -> bool:
        return 200 <= self.status < 300

    def bytes(self) -> bytes:
        return self.body

    def text(self) -> str:
        """The body in the charset of its content type, UTF-8 by default; what does not decode becomes U+FFFD."""
        _, _, charset = self.headers.get("content-type", "").partition("charset=")
        try:
            return self.body.decode(charset.split(";")[0].strip(' "') or "utf-8", "replace")
        except LookupError:
            return self.body.decode("utf-8", "replace")

    def json(self) -> Any:
        """The body as JSON; raises `ValueError` when it is none."""
        return msgspec.json.decode(self.body)


class Http:
    """Built with the invocation's call; `context.fetch` is its one method."""

    __slots__ = ("_call",)

    def __init__(self, call: Call) -> None:
        self._call = call

    async def fetch(
        self,
        url: str,
        *,
        method: str = "GET",
        headers: Mapping[str, str] | None = None,
        body: str | bytes | Mapping[str, Any] | list[Any] | None = None,
        timeout_s: float = 30.0,
    ) -> Response:
        """Request *url*; a mapping or list as *body* is sent as JSON. Any HTTP status is an answer, not an error.

        Only https, and only hosts that `configure(http=…)` names. Errors: `not_configured` (no http at all), `forbidden` (the
        host is not among the app's domains, or not public), `invalid` (address, method or header), `too_large` (either body),
        `deadline_exceeded`, `app_error` (the other side cannot be reached).
        """
        sent = {str(k).lower(): str(v) for k, v in (headers or {}).items()}
        if isinstance(body, Mapping | list):
            data = msgspec.json.encode(body)
            sent.setdefault("content-type", "application/json")
        else:
            data = body.encode() if isinstance(body, str) else body or b""
        answer = await self._call("http", "fetch", url, method.upper(), sent, data, timeout_s)
        return Response(
            url=answer.get("url", url),
            status=answer["status"],
            headers={str(k).lower(): str(v) for k, v in answer.get("headers", {}).items()},
            body=answer.get("body", b"") or b"",
        )
