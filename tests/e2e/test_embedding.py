"""Posts in pages of another site: who may embed them, and who it is that looks."""

from __future__ import annotations

import base64
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest
from aiohttp import web
from joserfc import jwt
from joserfc.jwk import OctKey
from playwright.async_api import expect
from tests.e2e.examples import APPS

from showground.keys import KeySpace
from showground.testing.browser import OpenPage
from showground.testing.host import HostUnderTest, running_host

pytestmark = pytest.mark.browser

KEY = b"known to the site's back end and to the host"


@dataclass
class Site:
    """A forum of somebody else's: one page with one post, and an address that signs tickets for whoever is signed in there."""

    url: str
    host: str = ""
    post: str = ""
    asked: int = 0

    async def page(self, request: web.Request) -> web.Response:
        text = (
            f'<!doctype html><title>A forum</title><script type="module" src="{self.host}/static/embed.js"></script>'
            f'<h1>A forum</h1><showground-post post="{self.post}" theme="light" ticket-url="/ticket"></showground-post>'
        )
        return web.Response(text=text, content_type="text/html")

    async def ticket(self, request: web.Request) -> web.Response:
        self.asked += 1
        now = int(time.time())
        claims = {"aud": "playground", "sub": "t2_7", "name": "Marie", "mod": False, "iat": now, "exp": now + 300}
        return web.Response(text=jwt.encode({"alg": "HS256", "kid": "forum"}, claims, OctKey.import_key(KEY)))


@asynccontextmanager
async def running_site() -> AsyncIterator[Site]:
    site = Site("")
    app = web.Application()
    app.router.add_get("/", site.page)
    app.router.add_get("/ticket", site.ticket)
    runner = web.AppRunner(app)
    await runner.setup()
    listener = web.TCPSite(runner, "127.0.0.1", 0)
    await listener.start()
    try:
        site.url = f"http://127.0.0.1:{runner.addresses[0][1]}"
        yield site
    finally:
        await runner.cleanup()


@pytest.fixture
async def site() -> AsyncIterator[Site]:
    async with running_site() as site:
        yield site


@pytest.fixture
async def host(tmp_path: Path, redis_url: str, keys: KeySpace, site: Site) -> AsyncIterator[HostUnderTest]:
    async with running_host(
        tmp_path,
        redis_url,
        keys.prefix,
        host={"allowed_origins": [site.url]},
        tickets={"keys": {"forum": base64.b64encode(KEY).decode()}},
    ) as host:
        site.host = host.host.url
        yield host


async def test_a_member_of_the_site_is_known_by_the_ticket_it_signs(
    host: HostUnderTest, site: Site, open_page: OpenPage
) -> None:
    site.post = await host.submit_post(await host.install(APPS / "synced_progress_bar"))
    page, stranger = await open_page(), await open_page()
    await page.goto(site.url)
    await stranger.goto(f"{host.host.url}/embed/{site.post}")
    frame = page.frame_locator("iframe")
    await frame.get_by_role("button", name="More").click()
    await expect(frame.locator(".sg-stage").get_by_text("Last moved by Marie")).to_be_visible()
    await expect(stranger.locator(".sg-stage").get_by_text("Last moved by Marie")).to_be_visible()
    await expect(stranger.get_by_role("button", name="More")).to_be_disabled()
    assert site.asked == 1


async def test_a_site_that_is_not_on_the_list_shows_nothing(
    host: HostUnderTest, site: Site, open_page: OpenPage
) -> None:
    post = await host.submit_post(await host.install(APPS / "synced_progress_bar"))
    async with running_site() as other:
        other.host, other.post = site.host, post
        page = await open_page()
        async with page.expect_console_message(lambda message: "frame-ancestors" in message.text):
            await page.goto(other.url)
        await expect(page.frame_locator("iframe").get_by_role("button")).to_have_count(0)
