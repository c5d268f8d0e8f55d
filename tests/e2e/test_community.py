"""The community's pages, as a member, a moderator and a stranger use them."""

from __future__ import annotations

import pytest
from playwright.async_api import Page, expect
from tests.e2e.examples import APPS, sign_in, stand_still

from showground.testing.browser import OpenPage
from showground.testing.host import HostUnderTest

pytestmark = pytest.mark.browser


async def written(page: Page, url: str, title: str) -> None:
    """Write a post on the community's page, and be at it."""
    await page.goto(f"{url}/c/playground")
    await page.get_by_text("Write a post").click()
    await page.get_by_label("Title").fill(title)
    await page.get_by_label("Text").fill("What do you think?")
    await page.get_by_role("button", name="Post", exact=True).click()
    await expect(page.get_by_role("heading", name=title)).to_be_visible()
    await page.wait_for_load_state()  # its script, without which no menu item does anything, has run


async def test_members_write_posts_comments_and_replies(demo: HostUnderTest, open_page: OpenPage) -> None:
    url = demo.host.url
    grace, linus = await open_page(), await open_page()
    await sign_in(grace, url, "Grace", "/c/playground")
    await written(grace, url, "A question")
    await sign_in(linus, url, "Linus", grace.url.removeprefix(url))
    await linus.get_by_label("Your comment").fill("I think <b>so</b>.")
    await linus.get_by_role("button", name="Comment", exact=True).click()
    await expect(linus.get_by_text("I think <b>so</b>.")).to_be_visible()
    await grace.reload()
    await grace.locator("details.reply summary").click()
    await grace.get_by_label("Your reply").fill("So do I.")
    await grace.get_by_role("button", name="Reply").click()
    await expect(grace.get_by_role("heading", name="2 comments")).to_be_visible()
    await expect(grace.locator(".depth-1")).to_contain_text("So do I.")


async def test_only_whoever_may_does_it(demo: HostUnderTest, open_page: OpenPage) -> None:
    url = demo.host.url
    ada, grace, stranger = await open_page(), await open_page(), await open_page()
    await sign_in(grace, url, "Grace", "/c/playground")
    await written(grace, url, "Off topic")
    await expect(grace.get_by_role("button", name="Remove")).to_have_count(0)
    await expect(grace.get_by_role("button", name="Delete")).to_be_visible()
    path = grace.url.removeprefix(url)
    await sign_in(ada, url, "Ada", path)
    await ada.get_by_role("button", name="Lock").click()
    await expect(ada.get_by_text("This post is locked.")).to_be_visible()
    await stranger.goto(url + path)
    await expect(stranger.get_by_role("textbox")).to_have_count(0)
    await ada.get_by_role("button", name="Remove").click()
    await expect(ada.get_by_text("removed", exact=True)).to_be_visible()
    await stranger.reload()
    await expect(stranger.get_by_text("There is no such post")).to_be_visible()


async def test_a_menu_item_asks_by_a_form_and_answers_with_a_toast(demo: HostUnderTest, open_page: OpenPage) -> None:
    await demo.install(APPS / "reminder")
    url = demo.host.url
    page = await open_page()
    await stand_still(page)
    await sign_in(page, url, "Linus", "/c/playground")
    await written(page, url, "Read this later")
    await page.locator("details.menu summary").first.click()
    await page.get_by_role("button", name="Remind me").click()
    dialog = page.get_by_role("dialog", name="Remind me of this post")
    await expect(dialog).to_be_visible()
    await dialog.get_by_role("button", name="Remind me").click()
    await expect(dialog, "a form that lacks a needed field stays open").to_be_visible()
    await dialog.get_by_label("In how many minutes?").fill("5")
    await dialog.get_by_role("button", name="Remind me").click()
    await expect(page.get_by_text("You will be reminded in 5 minutes")).to_be_visible()
    await expect(dialog).to_be_hidden()
    [job] = (await demo.call("GET", "/api/v1/communities/playground/apps/reminder/jobs"))["jobs"]
    assert page.url.endswith(job["data"]["post"]), "the reminder is of the post on whose menu it was asked for"


async def test_moderators_are_offered_what_members_are_not(demo: HostUnderTest, open_page: OpenPage) -> None:
    await demo.install(APPS / "mini_place")
    url = demo.host.url
    ada, grace = await open_page(), await open_page()
    await sign_in(grace, url, "Grace", "/c/playground")
    await expect(grace.locator("details.menu")).to_have_count(0)
    await sign_in(ada, url, "Ada", "/c/playground")
    await ada.locator("details.menu summary").click()
    await ada.get_by_role("button", name="New Mini Place").click()
    await expect(ada.get_by_role("heading", name="Mini Place")).to_be_visible()
    await expect(ada.get_by_text("Mini Place is open")).to_be_visible()


async def test_the_demo_shows_one_post_to_four_at_once(demo: HostUnderTest, open_page: OpenPage) -> None:
    post = await demo.submit_post(await demo.install(APPS / "mini_place"))
    page = await open_page(width=1280)
    await page.goto(f"{demo.host.url}/demo?post={post}")
    frames = [page.frame_locator("iframe").nth(number) for number in range(4)]
    for frame in frames:
        await expect(frame.locator(".sg-stage").get_by_text("Live", exact=True)).to_be_visible()
    await frames[3].get_by_role("button", name="Paint in red").click()
    await frames[3].get_by_role("button", name="Row 5, column 5: white").click()
    for frame in frames:
        await expect(frame.get_by_role("button", name="Row 5, column 5: red")).to_be_visible()
