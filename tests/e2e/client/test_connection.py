"""A network that fails is seen, and heals without losing a press."""

import re

import pytest
from playwright.async_api import WebSocketRoute, expect
from tests.e2e.client.conftest import Gallery
from tests.e2e.client.test_presses import at, connected
from tests.e2e.examples import stage

from showground.testing.browser import OpenPage
from showground.views import live

pytestmark = pytest.mark.browser


async def test_a_lost_network_is_seen_and_no_press_is_lost(open_page: OpenPage, gallery: Gallery) -> None:
    page = await at(open_page, await gallery("live"))
    await connected(page)
    more = page.get_by_role("button", name="More")
    await more.click()
    await expect(stage(page).get_by_text("count 1")).to_be_visible()
    await page.context.set_offline(True)
    await expect(page.locator(".sg-status")).to_contain_text("offline")
    await more.click()
    await more.click()
    await expect(more).to_have_attribute("aria-busy", "true")
    await page.context.set_offline(False)
    await expect(stage(page).get_by_text("count 3")).to_be_visible()
    await expect(page.locator(".sg-status")).to_be_empty()
    await expect(more).not_to_have_attribute("aria-busy", "true")


async def test_a_cut_socket_is_replaced_and_what_was_on_its_way_is_sent_again(
    open_page: OpenPage, gallery: Gallery
) -> None:
    sockets: list[WebSocketRoute] = []

    def between(socket: WebSocketRoute) -> None:
        server = socket.connect_to_server()
        if not sockets:
            socket.on_message(lambda text: None if '"press"' in str(text) else server.send(text))
        sockets.append(socket)

    page = await open_page()
    await page.route_web_socket("**/socket", between)
    await page.goto(await gallery("live"))
    await connected(page)
    await page.get_by_role("button", name="More").click()  # swallowed on the way
    await expect(page.get_by_role("button", name="More")).to_have_attribute("aria-busy", "true")
    await sockets[0].close()
    await expect(stage(page).get_by_text("count 1")).to_be_visible()
    assert len(sockets) == 2


async def test_where_websockets_are_blocked_posts_and_a_stream_do_the_same(
    open_page: OpenPage, gallery: Gallery
) -> None:
    address = await gallery("live")
    page = await open_page()
    await page.route_web_socket("**/socket", lambda socket: socket.close())
    await page.goto(address)
    other = await at(open_page, address)
    await connected(page)
    await connected(other)
    for count in (1, 2):
        await page.get_by_role("button", name="More").click()
        await expect(stage(page).get_by_text(f"count {count}")).to_be_visible()
    await other.get_by_role("button", name="Shout").click()
    await expect(stage(page).get_by_text("heard shout 0")).to_be_visible()


async def test_a_post_that_goes_on_elsewhere_can_be_taken_back(open_page: OpenPage, gallery: Gallery) -> None:
    address = await gallery("live")
    page, twin = await open_page(), await open_page()
    answer = await page.goto(address)
    assert answer is not None
    html = await answer.text()
    await connected(page)
    await page.get_by_role("button", name="More").click()
    await expect(stage(page).get_by_text("count 1")).to_be_visible()
    # a duplicated tab: the same page again, and so the same view
    await twin.route(address, lambda route: route.fulfill(body=html, content_type="text/html"))
    await twin.goto(address)
    await expect(stage(twin).get_by_text("count 1")).to_be_visible()
    await expect(page.locator(".sg-status")).to_contain_text("another window")
    await page.get_by_role("button", name="Continue here").click()
    await page.get_by_role("button", name="More").click()
    await expect(stage(page).get_by_text("count 2")).to_be_visible()


async def test_a_view_that_cannot_be_restored_is_begun_anew_and_the_viewer_is_told(
    open_page: OpenPage, gallery: Gallery
) -> None:
    sockets: list[WebSocketRoute] = []

    def between(socket: WebSocketRoute) -> None:
        server = socket.connect_to_server()
        sockets.append(socket)
        is_first = len(sockets) == 1

        def pass_on(text: str | bytes) -> None:
            if is_first and '"press"' in str(text):
                return
            server.send(text if is_first else re.sub('"resume":"[^"]*"', '"resume":"not-a-pass"', str(text)))

        socket.on_message(pass_on)

    page = await open_page()
    await page.route_web_socket("**/socket", between)
    await page.goto(await gallery("live"))
    await connected(page)
    more = page.get_by_role("button", name="More")
    await more.click()  # swallowed on the way
    await expect(more).to_have_attribute("aria-busy", "true")
    await sockets[0].close()
    await expect(page.locator(".sg-toast")).to_contain_text("started afresh")
    await expect(more).not_to_have_attribute("aria-busy", "true")
    await more.click()
    await expect(stage(page).get_by_text("count 1")).to_be_visible()


async def test_a_page_that_is_older_than_its_host_offers_to_be_reloaded(
    open_page: OpenPage, gallery: Gallery, monkeypatch: pytest.MonkeyPatch
) -> None:
    page = await open_page()
    monkeypatch.setattr(live, "OLDEST_PROTOCOL", 2)  # the host was upgraded while the page was open
    await page.goto(await gallery("live"))
    await expect(page.locator(".sg-status")).to_contain_text("older than its host")
    monkeypatch.undo()  # what the reload brings is as new as the host
    await page.get_by_role("button", name="Reload").click()
    await connected(page)
    await page.get_by_role("button", name="More").click()
    await expect(stage(page).get_by_text("count 1")).to_be_visible()


async def test_a_post_whose_app_fails_says_so_and_can_be_tried_again(open_page: OpenPage, gallery: Gallery) -> None:
    page = await at(open_page, await gallery("broken"))
    await expect(page.locator(".sg-status")).not_to_be_empty()
    await page.get_by_role("button", name="Try again").click()
    await expect(page.get_by_role("button", name="Try again")).to_be_visible()
    await expect(page.locator("[data-showground-view]")).not_to_have_attribute("aria-busy", "true")


async def test_a_patch_that_does_not_fit_leads_to_the_whole_tree(open_page: OpenPage, gallery: Gallery) -> None:
    said: list[str] = []

    def between(socket: WebSocketRoute) -> None:
        server = socket.connect_to_server()

        def spoil(text: str | bytes) -> None:
            spoiled = str(text).replace('"patch":[["a"', '"patch":[["a",[9,9,9],{"text":"x"}],["a"')
            socket.send(spoiled)

        def listen(text: str | bytes) -> None:
            said.append(str(text))
            server.send(text)

        server.on_message(spoil)
        socket.on_message(listen)

    page = await open_page()
    await page.route_web_socket("**/socket", between)
    await page.goto(await gallery("live"))
    await connected(page)
    await page.get_by_role("button", name="More").click()
    await expect(stage(page).get_by_text("count 1")).to_be_visible()
    assert '{"type":"refresh"}' in said
