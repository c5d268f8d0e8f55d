"""Which pages may open WebSockets to us, embed our posts, and send us forms."""

from __future__ import annotations

from collections.abc import Iterable
from urllib.parse import urlsplit

from aiohttp import web

from showground.errors import ShowgroundError


def normal_origin(text: str) -> str:
    """`scheme://host[:port]` in lower case, default ports left out (RFC 6454 section 6.2); raises `misconfigured`."""
    parts = urlsplit(text.strip())
    try:
        port = parts.port
    except ValueError:
        port = -1
    if parts.scheme not in ("http", "https") or not parts.hostname or port == -1 or parts.path.strip("/"):
        raise ShowgroundError(
            "misconfigured", f"{text!r} is not an origin", "host.allowed_origins", "Write it as https://forum.example."
        )
    host = f"[{parts.hostname}]" if ":" in parts.hostname else parts.hostname
    standard = {"http": 80, "https": 443}[parts.scheme]
    return f"{parts.scheme}://{host.lower()}" + (f":{port}" if port not in (None, standard) else "")


class Origins:
    """The operator's allow-list, and what counts as our own page."""

    def __init__(self, allowed: Iterable[str], public_url: str) -> None:
        self.allowed = frozenset(normal_origin(origin) for origin in allowed)
        self._own = normal_origin(public_url) if public_url else None

    def permits(self, request: web.Request) -> bool:
        """No `Origin` header (not a browser), our own, or one on the list; `null` (a sandboxed page) is none of these."""
        sent = request.headers.get("Origin")
        return sent is None or self.is_own(request) or sent.lower() in self.allowed

    def is_own(self, request: web.Request) -> bool:
        """Whether a page of this host sent *request*: its Origin is our public address, or matches the Host header."""
        sent = request.headers.get("Origin", "").lower()
        if self._own is not None:
            return sent == self._own
        return bool(sent) and urlsplit(sent).netloc == request.headers.get("Host", "").lower()
