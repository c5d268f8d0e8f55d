"""Posts in pages of other sites: the frame, and what it says to the page around it."""

import base64
import json
import re
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from aiohttp import web
from aiohttp.test_utils import TestServer
from playwright.async_api import Page, WebSocketRoute, expect
from tests.e2e.client.conftest import GALLERY, Gallery

from showground.clock import SystemClock
from showground.keys import KeySpace
from showground.ops.tickets import Tickets
from showground.testing.browser import OpenPage
from showground.testing.host import HostUnderTest, running_host

pytestmark = pytest.mark.browser


KEY = base64.b64encode(b"a secret that only site and host know").decode()


@pytest.fixture
async def site() -> AsyncIterator[tuple[str, dict[str, str]]]:
    """Another site: its origin, and its front page, which a test fills in."""
    pages = {"/": ""}

    async def front(request: web.Request) -> web.Response:
        return web.Response(text=pages["/"], content_type="text/html")

    app = web.Application()
    app.router.add_get("/", front)
    async with TestServer(app) as server:
        yield f"http://localhost:{server.port}", pages


@pytest.fixture
async def host(
    tmp_path: Path, redis_url: str, keys: KeySpace, site: tuple[str, dict[str, str]]
) -> AsyncIterator[HostUnderTest]:
    async with running_host(
        tmp_path, redis_url, keys.prefix, host={"allowed_origins": [site[0]]}, tickets={"keys": {"site": KEY}}
    ) as host:
        await host.install(GALLERY)
        yield host


@pytest.fixture
async def forum(open_page: OpenPage, gallery: Gallery, host: HostUnderTest, site: tuple[str, dict[str, str]]) -> Page:
    """A page of the other site with a post of the host."""
    post = (await gallery("live")).rpartition("/")[2]
    origin, pages = site
    pages["/"] = (
        f'<!doctype html><script type="module" src="{host.host.url}/static/embed.js"></script>'
        f'<showground-post post="{post}" theme="dark" height="100"></showground-post>'
    )
    page = await open_page()
    await page.goto(origin)
    return page


async def test_a_post_lives_in_a_page_of_another_site(forum: Page) -> None:
    frame = forum.frame_locator("iframe")
    await expect(frame.locator(".sg-text", has_text="connected")).to_be_visible()
    await frame.get_by_role("button", name="More").click()
    await expect(frame.locator(".sg-stage").get_by_text("count 1")).to_be_visible()
    await expect(forum.locator("iframe")).to_have_css("height", "512px")


async def test_the_theme_of_the_site_is_followed(forum: Page) -> None:
    view = forum.frame_locator("iframe").locator(".sg-view")
    await expect(view).to_have_css("background-color", "rgb(22, 24, 28)")
    await forum.evaluate("document.querySelector('showground-post').setAttribute('theme', 'light')")
    await expect(view).to_have_css("background-color", "rgb(255, 255, 255)")


async def test_the_site_has_a_say_in_where_links_lead(forum: Page) -> None:
    await forum.evaluate(
        """() => document.addEventListener("showground-navigate", (event) => {
          event.preventDefault();
          window.led = event.detail.url;
        })"""
    )
    frame = forum.frame_locator("iframe")
    await expect(frame.locator(".sg-text", has_text="connected")).to_be_visible()
    await forum.evaluate("document.querySelector('showground-post').setAttribute('theme', 'light')")
    await expect(frame.locator("html")).to_have_attribute("data-theme", "light")  # it has heard of its site
    await frame.get_by_role("button", name="Leave").click()
    await forum.wait_for_function("window.led === 'https://example.com/somewhere'")
    await frame.get_by_role("button", name="More").click()
    await expect(
        frame.locator(".sg-stage").get_by_text("count 1")
    ).to_be_visible()  # so a window would have opened by now
    assert len(forum.context.pages) == 1


async def test_a_view_begun_anew_is_still_its_viewers(
    open_page: OpenPage, gallery: Gallery, host: HostUnderTest, site: tuple[str, dict[str, str]]
) -> None:
    tickets = Tickets({"site": base64.b64decode(KEY)}, SystemClock())
    hellos: list[dict[str, object]] = []
    welcomes: list[str] = []

    def between(socket: WebSocketRoute) -> None:
        server = socket.connect_to_server()

        def spoil(text: str | bytes) -> None:
            spoilt = re.sub('"resume":"[^"]*"', '"resume":"not-a-pass"', str(text))
            if '"hello"' in spoilt:
                hellos.append(json.loads(spoilt))
            server.send(spoilt)

        def hear(text: str | bytes) -> None:
            if '"welcome"' in str(text):
                welcomes.append(str(text))
            socket.send(text)

        socket.on_message(spoil)
        server.on_message(hear)

    page = await open_page()
    await page.route_web_socket("**/socket", between)
    await page.goto(f"{await gallery('who')}?ticket={tickets.sign('playground', 't2_ada', 'ada')}")
    await expect(page.get_by_text("you are ada")).to_be_visible()
    while len(welcomes) < 2:
        await page.wait_for_timeout(20)
    assert "ticket" not in hellos[0]
    assert "view" not in hellos[1]
    assert "you are a stranger" in welcomes[0]
    assert "you are ada" in welcomes[1]
    await expect(page.get_by_text("you are ada")).to_be_visible()
