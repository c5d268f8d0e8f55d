"""`context.fetch`: HTTP requests to the hosts that an app named and its manifest permits, sent by the host.

Workers have no network, so every request of an app passes here, where it is checked against the allow-list, against private
addresses and against its limits.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from typing import Any

from showground.hookspecs import Extend, Offer, Providers, Services, hookimpl
from showground.keys import CapabilityKey
from showground.model import AppVersion, Invocation
from showground_http.fetch import Fetcher, FetchOptions

HTTP: CapabilityKey[Fetcher] = CapabilityKey("http")


@asynccontextmanager
async def _build(services: Services) -> AsyncIterator[Fetcher]:
    async with Fetcher(FetchOptions.read(services.options)) as fetcher:
        yield fetcher


@hookimpl
def provide(offer: Offer) -> None:
    offer(HTTP, "aiohttp", _build)


@hookimpl
def context(invocation: Invocation, app: AppVersion, extend: Extend, providers: Providers) -> None:
    allowed = frozenset(app.registration.http_domains)

    async def fetch(
        url: str,
        method: str = "GET",
        headers: Mapping[str, str] | None = None,
        body: bytes | str = b"",
        timeout_s: float = 30.0,
    ) -> dict[str, Any]:
        content = body.encode() if isinstance(body, str) else body
        return await providers(HTTP).fetch(
            allowed, url, method, headers or {}, content, min(timeout_s, invocation.timeout_s)
        )

    extend("http", {"fetch": fetch}, needs="http")
