"""Every block is drawn as Devvit's figures say, anybody can use it, and nothing that an app writes becomes markup."""

from typing import Literal

import pytest
from axe_playwright_python.async_playwright import Axe
from playwright.async_api import expect
from tests.e2e.client.conftest import Gallery
from tests.e2e.client.test_presses import at, connected
from tests.e2e.examples import stand_still

from showground.testing.browser import OpenPage

pytestmark = pytest.mark.browser

Scheme = Literal["light", "dark"]


@pytest.mark.parametrize("scheme", ["light", "dark"])
async def test_axe_finds_nothing_to_complain_about(open_page: OpenPage, gallery: Gallery, scheme: Scheme) -> None:
    page = await open_page(color_scheme=scheme, width=1280)
    found: list[str] = []
    for name in ("stacks", "text", "buttons", "pictures", "colors", "live", "pages"):
        await page.goto(await gallery(name))
        if name == "live":
            await connected(page)
            await page.get_by_role("button", name="Form").click()
            await expect(page.get_by_role("dialog")).to_be_visible()
        # settled, not finished: one whose element is replaced meanwhile is cancelled
        await page.evaluate("Promise.allSettled(document.getAnimations().map((animation) => animation.finished))")
        for violation in (await Axe().run(page)).response["violations"]:
            nodes = [(node["html"][:150], node["failureSummary"]) for node in violation["nodes"]]
            found.append(f"{name}: {violation['id']}: {nodes}")
    assert not found, "\n".join(found)


SIZES: dict[str, dict[str, tuple[int | None, int | None]]] = {
    "buttons": {
        ".sg-button[data-size=small]": (None, 32),
        ".sg-button:not([data-size])": (None, 40),
        ".sg-button[data-size=large]": (None, 48),
        ".sg-round": (40, 40),
    },
    "pictures": {
        ".sg-icon[data-size=xsmall]": (12, 12),
        ".sg-icon[data-size=small]": (16, 16),
        ".sg-icon:not([data-size])": (20, 20),
        ".sg-icon[data-size=large]": (24, 24),
        ".sg-avatar[data-size=xxxlarge]": (128, 128),
        "img[alt='Sky, cover']": (56, 56),
        "img[alt='Sky as it is']": (64, 32),
        ".sg-hstack > .sg-spacer[data-size=large]": (32, None),
    },
}


async def test_blocks_have_the_sizes_that_are_promised(open_page: OpenPage, gallery: Gallery) -> None:
    page = await open_page(width=1280)
    for name, wanted in SIZES.items():
        await page.goto(await gallery(name))
        for selector, (width, height) in wanted.items():
            box = await page.locator(selector).first.bounding_box()
            assert box is not None
            assert (width or box["width"], height or box["height"]) == (box["width"], box["height"]), selector


async def test_icons_are_drawn_and_images_load(open_page: OpenPage, gallery: Gallery) -> None:
    page = await at(open_page, await gallery("pictures"))
    await page.wait_for_function("[...document.images].every((image) => image.complete && image.naturalWidth > 0)")
    await page.wait_for_function(
        "[...document.querySelectorAll('.sg-icon use')].every((use) => use.getBBox().width > 0)"
    )


async def test_sides_may_be_named_in_any_order_and_reversing_keeps_them(open_page: OpenPage, gallery: Gallery) -> None:
    page = await at(open_page, await gallery("stacks"), width=1280)
    lefts = await page.evaluate(
        """() => [...document.querySelectorAll('.sg-hstack[data-reverse] > *')].map((e) => e.getBoundingClientRect().left)"""
    )
    assert lefts == sorted(lefts, reverse=True)
    assert lefts[-1] == 16  # the padding around: reversed, but still at the start
    corners = await page.evaluate(
        """() => [...document.querySelectorAll('.sg-zstack[data-y]')].slice(0, 3).map((stack) => {
          const [outer, inner] = [stack, stack.firstChild].map((e) => e.getBoundingClientRect());
          return [inner.left - outer.left - 1, inner.top - outer.top - 1];
        })"""
    )
    assert corners == [[0, 0], [29, 11], [58, 22]]  # 118 by 62 inside the border, 60 by 40 to place


async def test_the_page_never_scrolls_sideways(open_page: OpenPage, gallery: Gallery) -> None:
    page = await open_page(height=512)
    for name in ("stacks", "text", "buttons", "live"):
        await page.goto(await gallery(name))
        for width in (320, 390, 1280):
            await page.set_viewport_size({"width": width, "height": 512})
            await page.wait_for_function("(width) => innerWidth === width", arg=width)
            assert await page.evaluate("document.documentElement.scrollWidth") <= width


async def test_a_finger_hits_small_buttons_as_well(open_page: OpenPage, gallery: Gallery) -> None:
    page = await at(open_page, await gallery("buttons"), has_touch=True, is_mobile=True, width=390)
    box = await page.locator(".sg-button[data-size=small]").first.bounding_box()
    assert box is not None
    above = [box["x"] + box["width"] / 2, box["y"] - 5]
    assert await page.evaluate("([x, y]) => document.elementFromPoint(x, y).dataset.size", above) == "small"


async def test_the_theme_may_be_told_whatever_the_system_says(open_page: OpenPage, gallery: Gallery) -> None:
    page = await at(open_page, await gallery("text") + "?theme=dark", color_scheme="light")
    color = "getComputedStyle(document.querySelector('.sg-view')).backgroundColor"
    assert await page.evaluate(color) == "rgb(22, 24, 28)"
    await page.evaluate("document.documentElement.dataset.theme = 'light'")
    assert await page.evaluate(color) == "rgb(255, 255, 255)"


async def test_nothing_of_an_app_becomes_markup(open_page: OpenPage, gallery: Gallery) -> None:
    page = await open_page()
    await stand_still(page)
    await page.goto(await gallery("hostile"))
    await page.get_by_role("button", name="Attack").click()
    await expect(page.get_by_role("dialog")).to_be_visible()
    await expect(page.locator(".sg-toast")).to_contain_text("<script>")
    await page.get_by_role("dialog").get_by_role("button").last.click()
    await expect(page.get_by_role("dialog")).to_have_count(0)
    assert await page.evaluate("window.pwned") is None
    assert await page.locator("img").count() == 1
    assert await page.locator("script:not([type='application/json'])").count() == 1
