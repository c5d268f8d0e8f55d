"""What a viewer does in a real browser reaches the app once, and what comes back disturbs nothing."""

import asyncio
import re
from typing import Any

import pytest
from playwright.async_api import Page, WebSocketRoute, expect
from tests.e2e.client.conftest import Gallery
from tests.e2e.examples import stage, stand_still

from showground.testing.browser import OpenPage

pytestmark = pytest.mark.browser


async def at(open_page: OpenPage, address: str, **context: Any) -> Page:
    page = await open_page(**context)
    await page.goto(address)
    return page


async def connected(page: Page) -> None:
    await expect(page.locator(".sg-text", has_text=re.compile("^connected$"))).to_be_visible()


async def test_the_post_is_there_before_any_socket(open_page: OpenPage, gallery: Gallery) -> None:
    page = await open_page()
    await page.route_web_socket("**/socket", lambda socket: None)  # opens, and never says a word
    await page.goto(await gallery("live"))
    await expect(stage(page).get_by_text("count 0")).to_be_visible()
    assert await page.locator("[data-showground-view]").get_attribute("aria-busy") is None


async def test_a_press_changes_the_post(open_page: OpenPage, gallery: Gallery) -> None:
    page = await at(open_page, await gallery("live"))
    await page.get_by_role("button", name="More").click()
    await expect(stage(page).get_by_text("count 1")).to_be_visible()
    await expect(page.locator("[aria-busy]")).to_have_count(0)


async def test_a_press_that_is_answered_at_once_touches_nothing_but_what_it_changes(
    open_page: OpenPage, gallery: Gallery
) -> None:
    may_answer = asyncio.Event()
    may_answer.set()

    def between(socket: WebSocketRoute) -> None:
        async def answer(text: str | bytes) -> None:
            await may_answer.wait()
            socket.send(text)

        socket.connect_to_server().on_message(answer)

    page = await open_page()
    await page.route_web_socket("**/socket", between)
    await stand_still(page)
    await page.goto(await gallery("live"))
    await connected(page)
    await page.evaluate(
        """() => {
          window.touched = [];
          const name = ({ target }) => target.className ?? target.parentElement.className;
          new MutationObserver((found) => touched.push(...found.map((one) => [one.type, name(one)])))
            .observe(document.body, { subtree: true, childList: true, characterData: true, attributes: true });
        }"""
    )
    may_answer.clear()
    await page.get_by_role("button", name="More").click()
    await page.clock.run_for(200)
    may_answer.set()
    await expect(stage(page).get_by_text("count 1")).to_be_visible()
    assert await page.evaluate("() => touched") == [["characterData", "sg-text"]]


async def test_what_one_browser_sends_the_other_sees(open_page: OpenPage, gallery: Gallery) -> None:
    address = await gallery("live")
    one, other = await at(open_page, address), await at(open_page, address)
    await connected(one)
    await connected(other)
    await one.get_by_role("button", name="Shout").click()
    await expect(stage(other).get_by_text("heard shout 0")).to_be_visible()


async def test_moved_blocks_stay_the_same_elements_and_keep_the_focus(open_page: OpenPage, gallery: Gallery) -> None:
    page = await at(open_page, await gallery("live"))
    await connected(page)
    four = await page.get_by_role("button", name="four").element_handle()
    await page.get_by_role("button", name="four").focus()
    await page.evaluate("() => [...document.querySelectorAll('button')].find(b => b.textContent === 'Turn').click()")
    names = page.locator("button", has_text="four").locator("xpath=..").locator("button")
    await expect(names).to_have_text(["four", "one", "two", "three"])
    assert await page.evaluate("four => four.isConnected && four === document.activeElement", four)


async def test_when_the_focused_block_goes_the_focus_stays_in_the_post(open_page: OpenPage, gallery: Gallery) -> None:
    page = await at(open_page, await gallery("live"))
    await connected(page)
    await page.get_by_role("button", name="one").focus()
    await page.evaluate("() => [...document.querySelectorAll('button')].find(b => b.textContent === 'Drop').click()")
    await expect(page.get_by_role("button", name="one")).to_have_count(0)
    assert await page.evaluate("() => document.activeElement.className") == "sg-stage"


async def test_the_keyboard_alone_can_do_everything(open_page: OpenPage, gallery: Gallery) -> None:
    page = await at(open_page, await gallery("live"))
    await connected(page)
    reached: list[str] = []
    for _ in range(30):
        await page.keyboard.press("Tab")
        reached.append(
            await page.evaluate("() => document.activeElement.ariaLabel ?? document.activeElement.textContent ?? ''")
        )
    assert {"More", "one", "Form", "Stop", "Card", "Inner", "Favourite", "Red", "words"} <= set(reached)
    for name, key, count in (("Card", "Enter", 8), ("Inner", "Enter", 7), ("Favourite", " ", 9), ("Red", "Enter", 10)):
        await page.get_by_label(name, exact=True).or_(page.get_by_role("button", name=name, exact=True)).first.focus()
        await page.keyboard.press(key)
        await expect(stage(page).get_by_text(f"count {count}", exact=True)).to_be_visible()


async def test_an_interval_ticks_here_and_stops_when_asked(open_page: OpenPage, gallery: Gallery) -> None:
    page = await at(open_page, await gallery("live"))
    await page.get_by_role("button", name="Start").click()
    await expect(stage(page).get_by_text(re.compile("ticks [1-9]"))).to_be_visible()
    await page.get_by_role("button", name="Stop").click()
    await page.get_by_role("button", name="More").click()
    await expect(stage(page).get_by_text("count 1")).to_be_visible()
    stopped = await stage(page).get_by_text("ticks").text_content()
    await page.get_by_role("button", name="More").click()
    await expect(stage(page).get_by_text("count 2")).to_be_visible()
    assert await stage(page).get_by_text("ticks").text_content() == stopped


async def test_changes_are_announced_but_ticks_are_not(open_page: OpenPage, gallery: Gallery) -> None:
    page = await open_page()
    await page.clock.install()
    await page.goto(await gallery("live"))
    await connected(page)
    await page.get_by_role("button", name="Start").click()
    await expect(stage(page).get_by_text(re.compile("ticks [1-9]"))).to_be_visible()
    await page.get_by_role("button", name="More").click()
    await expect(stage(page).get_by_text("count 1")).to_be_visible()
    await page.clock.run_for(5_000)  # longer than the pause after what was announced before
    heard = page.locator(".sg-heard[role=status]")
    await expect(heard).to_contain_text("count 1")
    assert "ticks" not in (await heard.text_content() or "")


async def test_a_failing_app_is_told_and_changes_nothing(open_page: OpenPage, gallery: Gallery) -> None:
    page = await at(open_page, await gallery("live"))
    await page.get_by_role("button", name="Fail").click()
    await expect(page.locator(".sg-toast[data-appearance=error]")).to_be_visible()
    await page.get_by_role("button", name="More").click()
    await expect(stage(page).get_by_text("count 1")).to_be_visible()


async def test_a_link_opens_in_a_window_that_knows_nothing_of_this_one(open_page: OpenPage, gallery: Gallery) -> None:
    page = await open_page()
    # as if the answer came while the press still counts as one, which it does for five seconds
    await page.add_init_script("Object.defineProperty(UserActivation.prototype, 'isActive', { get: () => true })")
    await page.goto(await gallery("live"))
    await page.context.route("https://example.com/**", lambda route: route.fulfill(body="elsewhere"))
    await connected(page)
    async with page.context.expect_page() as opened:
        await page.get_by_role("button", name="Leave").click()
    elsewhere = await opened.value
    assert elsewhere.url == "https://example.com/somewhere"
    assert await elsewhere.evaluate("() => window.opener") is None


async def test_pages_of_the_app_talk_with_the_post(open_page: OpenPage, gallery: Gallery) -> None:
    page = await at(open_page, await gallery("pages"))
    inner = page.frame_locator("iframe")
    await inner.get_by_role("button", name="Speak").click()
    await expect(stage(page).get_by_text("heard from the page")).to_be_visible()
    await expect(inner.get_by_text("an answer")).to_be_visible()


async def test_a_page_over_the_post_comes_goes_and_talks(open_page: OpenPage, gallery: Gallery) -> None:
    page = await at(open_page, await gallery("live"))
    await page.get_by_role("button", name="Page").click()
    inner = page.frame_locator(".sg-over iframe")
    await expect(inner.get_by_text("from the post")).to_be_visible()
    await page.keyboard.press("Escape")
    await expect(page.locator(".sg-over")).to_have_count(0)
    await page.get_by_role("button", name="Page").click()
    await expect(inner.get_by_text("from the post")).to_be_visible()  # its script runs, so its button works
    await inner.get_by_role("button", name="Speak").click()
    await expect(stage(page).get_by_text("heard from the page")).to_be_visible()
    await expect(page.locator(".sg-over")).to_have_count(0)


async def test_the_app_knows_where_it_is_shown_and_the_next_first_paint_does_too(
    open_page: OpenPage, gallery: Gallery
) -> None:
    address = await gallery("surroundings")
    page = await at(open_page, address, width=390, color_scheme="dark", locale="de-DE", timezone_id="Europe/Berlin")
    await expect(stage(page).get_by_text("dark 390 de-DE Europe/Berlin")).to_be_visible()
    await page.set_viewport_size({"width": 700, "height": 600})
    await expect(stage(page).get_by_text("dark 700 de-DE Europe/Berlin")).to_be_visible()
    again = await page.context.request.get(address)
    assert "dark 700 de-DE Europe/Berlin" in await again.text()
