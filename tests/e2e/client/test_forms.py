"""Forms: every field, refusals at their fields, and nothing typed is ever lost."""

import pytest
from playwright.async_api import Page, expect
from tests.e2e.client.conftest import Gallery
from tests.e2e.client.test_presses import at, connected
from tests.e2e.examples import stage

from showground.testing.browser import OpenPage

pytestmark = pytest.mark.browser


async def opened(open_page: OpenPage, gallery: Gallery) -> Page:
    page = await at(open_page, await gallery("live"))
    await connected(page)
    await page.get_by_role("button", name="Form").click()
    await expect(page.get_by_role("dialog", name="Tell us")).to_be_visible()
    return page


async def test_every_field_reaches_the_app(open_page: OpenPage, gallery: Gallery) -> None:
    page = await opened(open_page, gallery)
    await expect(page.get_by_label("Who")).to_be_focused()
    await page.get_by_label("Who").fill("Ada")
    await page.get_by_label("Secret").fill("hush")
    await page.get_by_label("Story").fill("Once\nupon")
    await page.get_by_label("Age").fill("36")
    await page.get_by_role("switch", name="Agrees").uncheck()
    await page.get_by_label("Colour").select_option("Blue")
    await page.get_by_label("Mon").check()
    await page.get_by_label("Wed").check()
    await page.get_by_label("Picture").fill("https://example.com/a.png")
    await page.get_by_label("Town").fill("Turin")
    await page.get_by_role("button", name="Send").click()
    await expect(page.get_by_role("dialog")).to_have_count(0)
    await expect(page.locator(".sg-toast")).to_have_text("Thank you")
    expected = (
        "answer [('age', 36), ('agrees', False), ('color', ['blue']), ('days', ['Mon', 'Wed']), ('land', 'Utopia'), "
        "('picture', 'https://example.com/a.png'), ('secret', 'hush'), ('story', 'Once\\nupon'), ('town', 'Turin'), "
        "('who', 'Ada')]"
    )
    await expect(stage(page).get_by_text("answer")).to_have_text(expected)


async def test_what_is_missing_is_said_at_its_field_before_anything_is_sent(
    open_page: OpenPage, gallery: Gallery
) -> None:
    page = await opened(open_page, gallery)
    await page.get_by_label("Age").fill("200")
    await page.get_by_role("button", name="Send").click()
    await expect(page.get_by_label("Who")).to_be_focused()
    await expect(page.get_by_label("Who")).to_have_accessible_description("As others see it Please fill this in.")
    await expect(page.get_by_label("Colour")).to_have_accessible_description("Please choose.")
    await expect(page.get_by_label("Age")).to_have_accessible_description("At most 150.")
    await expect(page.get_by_role("alert")).to_have_text("3 answers need another look.")


async def test_what_the_host_refuses_is_said_at_its_field_and_stays_typed(
    open_page: OpenPage, gallery: Gallery
) -> None:
    page = await opened(open_page, gallery)
    await page.get_by_label("Who").fill("A" * 10_001)  # only the host counts the characters
    await page.get_by_label("Story").fill("long")
    await page.get_by_label("Colour").select_option("Red")
    await page.get_by_role("button", name="Send").click()
    await expect(page.get_by_label("Who")).to_have_accessible_description("As others see it At most 10000 characters.")
    await expect(page.get_by_label("Story")).to_have_value("long")
    await page.get_by_label("Who").fill("Ada")
    await page.get_by_role("button", name="Send").click()
    await expect(page.get_by_role("dialog")).to_have_count(0)


async def test_a_form_stays_with_what_was_typed_when_the_app_fails(open_page: OpenPage, gallery: Gallery) -> None:
    page = await opened(open_page, gallery)
    await page.get_by_label("Who").fill("nobody")
    await page.get_by_label("Colour").select_option("Red")
    await page.get_by_role("button", name="Send").click()
    await expect(page.get_by_role("alert")).not_to_be_empty()
    await expect(page.get_by_label("Who")).to_have_value("nobody")
    await expect(page.get_by_role("button", name="Send")).to_be_enabled()


async def test_updates_of_the_post_leave_focus_and_typing_alone(open_page: OpenPage, gallery: Gallery) -> None:
    address = await gallery("live")
    page, other = await at(open_page, address), await at(open_page, address)
    await connected(page)
    await connected(other)
    await page.get_by_role("button", name="Form").click()
    story = page.get_by_label("Story")
    await story.fill("half a sen")
    await other.get_by_role("button", name="Shout").click()
    await expect(stage(page).get_by_text("heard shout 0")).to_have_count(1)
    await expect(story).to_be_focused()
    await page.keyboard.type("tence")
    await expect(story).to_have_value("half a sentence")


async def test_escape_cancels_and_the_focus_returns(open_page: OpenPage, gallery: Gallery) -> None:
    page = await opened(open_page, gallery)
    await page.keyboard.press("Escape")
    await expect(page.get_by_role("dialog")).to_have_count(0)
    await expect(page.get_by_role("button", name="Form")).to_be_focused()


async def test_effects_are_shown_outside_of_posts_as_well(open_page: OpenPage, gallery: Gallery) -> None:
    page = await at(open_page, await gallery("text"))
    await page.evaluate(
        """async () => {
          const { showEffects } = await import("/static/client.js");
          const form = { title: "Outside", fields: [{ type: "string", name: "who", label: "Who" }] };
          showEffects([{ type: "toast", text: "From a menu", appearance: "success" }, { type: "form", id: "f", form }], {
            onSubmit: async (id, values) => {
              if (values.who !== "Ada") showEffects([{ type: "form_errors", id, errors: { who: "Only Ada." } }]);
              else window.sent = [id, values];
            },
          });
        }"""
    )
    await expect(page.locator(".sg-page .sg-toast")).to_have_text("From a menu")
    await page.get_by_label("Who").fill("Bob")
    await page.get_by_role("button", name="Submit").click()
    await expect(page.get_by_label("Who")).to_have_accessible_description("Only Ada.")
    await page.get_by_label("Who").fill("Ada")
    await page.get_by_role("button", name="Submit").click()
    await expect(page.get_by_role("dialog")).to_have_count(0)
    assert await page.evaluate("window.sent") == ["f", {"who": "Ada"}]
