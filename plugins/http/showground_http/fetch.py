"""One request of an app: checked, sent, redirected with every hop checked again, and read within its limits.

Semantics of Devvit's `fetch` (devvit docs, HTTP fetch): https only, exact host names, GET POST PUT DELETE OPTIONS PATCH (and
HEAD), 30 s.
"""

from __future__ import annotations

import asyncio
import ipaddress
import ssl
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from types import TracebackType
from typing import Any, Self

import aiohttp
from aiohttp import hdrs
from yarl import URL

from showground.errors import ShowgroundError
from showground_http.addresses import PublicResolver

METHODS = frozenset({"GET", "HEAD", "POST", "PUT", "DELETE", "OPTIONS", "PATCH"})
REDIRECTS = frozenset({301, 302, 303, 307, 308})
FORBIDDEN_HEADERS = frozenset(
    {
        "host",
        "connection",
        "content-length",
        "transfer-encoding",
        "upgrade",
        "te",
        "trailer",
        "proxy-authorization",
        "expect",
    }
)
SENSITIVE_HEADERS = frozenset({"authorization", "cookie"})
READ_BYTES = 64 * 1024


@dataclass(frozen=True, slots=True)
class FetchOptions:
    """The section `[http]` of the settings."""

    private_hosts: tuple[str, ...] = ()
    """Hosts that may have private addresses: the forum's own API in the operator's network."""
    ca_file: str = ""
    """PEM file of certificate authorities to trust besides the system's."""
    max_request_bytes: int = 5_000_000
    """Largest body that an app may send."""
    max_response_bytes: int = 5_000_000
    """Largest body that an app may get, after decompression."""
    max_redirects: int = 5
    """Redirects that are followed, each checked like the first address."""
    max_connections: int = 64
    """Connections at once over all apps; a request that finds none free waits within its own deadline."""

    @classmethod
    def read(cls, section: Mapping[str, Any]) -> FetchOptions:
        known = cls.__dataclass_fields__
        if unknown := [name for name in section if name not in known]:
            raise ShowgroundError(
                "misconfigured", f"unknown: {', '.join(unknown)}", "http", f"Known: {', '.join(known)}."
            )
        values = dict(section)
        values["private_hosts"] = tuple(values.get("private_hosts", ()))
        return cls(**values)


class Fetcher:
    """Sends requests for apps. An async context manager; keeps connections alive between requests, cookies never."""

    def __init__(self, options: FetchOptions, resolver: PublicResolver | None = None) -> None:
        self._options = options
        self._resolver = resolver or PublicResolver(options.private_hosts)
        self._session: aiohttp.ClientSession | None = None

    async def __aenter__(self) -> Self:
        trust = ssl.create_default_context()
        if self._options.ca_file:
            trust.load_verify_locations(self._options.ca_file)
        connector = aiohttp.TCPConnector(
            resolver=self._resolver, ssl=trust, limit=self._options.max_connections, use_dns_cache=False
        )
        self._session = aiohttp.ClientSession(
            connector=connector, cookie_jar=aiohttp.DummyCookieJar(), auto_decompress=True, trust_env=False
        )
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._session is not None:
            await self._session.close()

    async def fetch(
        self, allowed: Collection[str], url: str, method: str, headers: Mapping[str, str], body: bytes, timeout_s: float
    ) -> dict[str, Any]:
        """Send one request to a host of *allowed*; returns `{url, status, headers, body}`, whatever the status is.

        Errors: `invalid` (URL, method or header), `forbidden` (host not allowed or not public), `too_large` (either body),
        `deadline_exceeded`, `app_error` when the other side cannot be reached or breaks off.
        """
        method = method.upper()
        if method not in METHODS:
            raise ShowgroundError(
                "invalid", f"{method!r} is not a method that fetch sends", "method", f"Use {_list(METHODS)}."
            )
        if len(body) > self._options.max_request_bytes:
            raise ShowgroundError(
                "too_large", f"the body has {len(body)} bytes", "body", self._limit("max_request_bytes")
            )
        sent = _checked_headers(headers)
        target = self._checked_url(url, allowed)
        try:
            async with asyncio.timeout(timeout_s):
                return await self._follow(allowed, target, method, sent, body)
        except TimeoutError:
            raise ShowgroundError(
                "deadline_exceeded",
                f"HTTP request to domain: {target.host} timed out after {timeout_s:g} s",
                "fetch",
                "Try again later, or allow more time.",
            ) from None
        except aiohttp.ClientError as error:
            cause = error.__cause__ or error
            if isinstance(cause, ShowgroundError):
                raise cause from None
            raise ShowgroundError(
                "app_error",
                f"{target.host} could not be reached: {error}",
                "fetch",
                "Check the address, or try again later.",
            ) from error

    async def _follow(
        self, allowed: Collection[str], target: URL, method: str, headers: dict[str, str], body: bytes
    ) -> dict[str, Any]:
        if self._session is None:
            raise ShowgroundError("not_ready", "fetch is not started", "fetch")
        for _ in range(self._options.max_redirects + 1):
            async with self._session.request(
                method, target, headers=headers, data=body or None, allow_redirects=False
            ) as response:
                location = response.headers.get(hdrs.LOCATION)
                if response.status not in REDIRECTS or location is None:
                    return {
                        "url": str(target),
                        "status": response.status,
                        "headers": {name.lower(): value for name, value in response.headers.items()},
                        "body": await self._read(response),
                    }
                # RFC 9110 section 15.4: 303 turns into GET, and browsers do the same to a POST answered by 301 or 302.
                if response.status == 303 or (response.status in (301, 302) and method == "POST"):
                    method, body = ("HEAD" if method == "HEAD" else "GET"), b""
                following = self._checked_url(str(target.join(URL(location))), allowed)
                if following.origin() != target.origin():
                    headers = {name: v for name, v in headers.items() if name.lower() not in SENSITIVE_HEADERS}
                target = following
        raise ShowgroundError("app_error", f"more than {self._options.max_redirects} redirects", "fetch")

    async def _read(self, response: aiohttp.ClientResponse) -> bytes:
        """Read counting what comes out of decompression, so that a compressed bomb is cut off too."""
        parts: list[bytes] = []
        size = 0
        async for part in response.content.iter_chunked(READ_BYTES):
            size += len(part)
            if size > self._options.max_response_bytes:
                raise ShowgroundError(
                    "too_large", "the response is larger than fetch takes", "fetch", self._limit("max_response_bytes")
                )
            parts.append(part)
        return b"".join(parts)

    def _checked_url(self, url: str, allowed: Collection[str]) -> URL:
        try:
            target = URL(url)
            host = (target.host or "").lower().rstrip(".")
        except ValueError as error:
            raise ShowgroundError("invalid", f"not a URL: {error}", "url") from None
        if target.scheme != "https" or not host:
            raise ShowgroundError("invalid", f"{url!r} is not an https URL", "url", "fetch sends https requests only.")
        if target.user is not None or target.password is not None:
            raise ShowgroundError(
                "invalid", "the URL carries a user or password", "url", "Send an Authorization header."
            )
        if host not in allowed:
            raise ShowgroundError(
                "forbidden",
                f"{host} is not among the hosts of this app",
                "fetch",
                f"Add it to `http.domains` of `Devvit.configure` and to app.json. Now: {_list(allowed) or 'none'}.",
            )
        if _is_address(host) and host not in self._options.private_hosts:
            raise ShowgroundError(
                "forbidden", f"{host} is an address, not a name", "fetch", "Use the name of the host."
            )
        return target.with_host(host)

    def _limit(self, option: str) -> str:
        return f"The limit is {getattr(self._options, option):,} bytes ([http] {option})."


def _checked_headers(headers: Mapping[str, str]) -> dict[str, str]:
    for name, value in headers.items():
        if name.lower() in FORBIDDEN_HEADERS:
            raise ShowgroundError("invalid", f"the header {name!r} is set by the host alone", "headers")
        if not name or not all(c.isalnum() or c in "!#$%&'*+-.^_`|~" for c in name) or not name.isascii():
            raise ShowgroundError("invalid", f"{name!r} is not a header name", "headers")
        if any(c in value for c in "\r\n\0"):
            raise ShowgroundError("invalid", f"the header {name!r} holds a line break", "headers")
    return dict(headers)


def _is_address(host: str) -> bool:
    try:
        ipaddress.ip_address(host)
    except ValueError:
        return False
    return True


def _list(names: Collection[str]) -> str:
    return ", ".join(sorted(names))
