"""A host with the gallery, and a Chromium to look at it."""

import json
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path

import pytest

from showground.keys import KeySpace
from showground.testing.browser import browser, open_page
from showground.testing.host import HostUnderTest, running_host

__all__ = ["browser", "open_page"]

GALLERY = Path(__file__).parent / "gallery"

Gallery = Callable[[str], Awaitable[str]]
"""Makes a post of that page of the gallery; returns its address."""


@pytest.fixture
async def host(tmp_path: Path, redis_url: str, keys: KeySpace) -> AsyncIterator[HostUnderTest]:
    async with running_host(tmp_path, redis_url, keys.prefix) as host:
        await host.install(GALLERY)
        yield host


@pytest.fixture
def gallery(host: HostUnderTest) -> Gallery:
    async def gallery(page: str) -> str:
        post = await host.submit_post("gallery", data=json.dumps({"page": page}).encode())
        return f"{host.host.url}/embed/{post}"

    return gallery
