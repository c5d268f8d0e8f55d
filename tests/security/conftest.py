"""A real host in demo mode with a hostile app, and the browsers that attack it."""

from __future__ import annotations

import re
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from showground.keys import KeySpace
from showground.testing.host import HostUnderTest, running_host

CANVAS = Path(__file__).parent / "canvas"
FRIEND = "https://forum.example"


class Browser:
    """Cookies, and the token that the last page carried."""

    def __init__(self, url: str, session: aiohttp.ClientSession) -> None:
        self.url = url
        self.session = session
        self.token = ""

    async def page(self, path: str, **more: Any) -> str:
        async with self.session.get(self.url + path, **more) as response:
            text = await response.text()
        found = re.search(r'data-form-token="([^"]*)"', text)
        if found:
            self.token = found[1]
        return text

    async def send(
        self, path: str, fields: dict[str, str] | None = None, *, headers: dict[str, str] | None = None, **more: Any
    ) -> aiohttp.ClientResponse:
        """A form of the page on screen; *fields* may replace its token."""
        form = {"token": self.token, **(fields or {})}
        async with self.session.post(
            self.url + path, data=form, headers=headers, allow_redirects=False, **more
        ) as response:
            await response.read()
        return response

    async def sign_in(self, name: str) -> None:
        await self.page("/sign-in")
        assert (await self.send("/sign-in", {"name": name})).status == 303
        await self.page("/")


@pytest.fixture
async def host(tmp_path: Path, redis_url: str, keys: KeySpace) -> AsyncIterator[HostUnderTest]:
    sections: dict[str, Any] = {"host": {"demo": True, "allowed_origins": [FRIEND]}}
    async with running_host(tmp_path / "data", redis_url, keys.prefix, **sections) as host:
        await host.install(CANVAS)
        yield host


@pytest.fixture
async def browser(host: HostUnderTest) -> AsyncIterator[Callable[[], Browser]]:
    """Makes browsers, each with a cookie jar of its own."""
    async with AsyncExitStack() as stack:
        made: list[aiohttp.ClientSession] = []

        def make() -> Browser:
            session = aiohttp.ClientSession(cookie_jar=aiohttp.CookieJar(unsafe=True))
            made.append(session)
            return Browser(host.host.url, session)

        yield make
        for session in made:
            await stack.enter_async_context(session)
