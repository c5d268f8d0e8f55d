"""Which pages may open WebSockets to us, embed our posts, and send us forms."""

from __future__ import annotations

import functools
import ipaddress
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
        return bool(sent) and sent.partition("://")[2] == request.headers.get("Host", "").lower()

    def names(self, request: web.Request) -> bool:
        """Whether the Host header is one by which a host on the loopback interface can be meant: an address or `localhost`.

        Another name that leads here is that of a page whose author points it at 127.0.0.1 (DNS rebinding) to read with its
        visitor's eyes; or that of a proxy, which the operator names with `public_url`.
        """
        if self._own is not None:
            return True
        return _means_this_machine(request.headers.get("Host", "localhost"))


@functools.lru_cache(maxsize=64)
def _means_this_machine(header: str) -> bool:
    """Kept, because every request of a client asks about the same header."""
    host = header.rpartition("@")[2].lower()
    name = host[1:].partition("]")[0] if host.startswith("[") else host.partition(":")[0]
    return name == "localhost" or name.endswith(".localhost") or is_address(name)


def is_address(name: str) -> bool:
    try:
        ipaddress.ip_address(name)
    except ValueError:
        return False
    return True


def is_loopback(listen: str) -> bool:
    return listen == "localhost" or (is_address(listen) and ipaddress.ip_address(listen).is_loopback)
