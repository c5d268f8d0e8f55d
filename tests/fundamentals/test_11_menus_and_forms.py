"""A menu item is a button of the community, a post or a comment; it may show a form; both may show a toast."""

import pytest
from tests.fundamentals.conftest import Bundle

from showground.errors import ShowgroundError
from showground.testing.playground import Playground

CODE = """
    from showground import Devvit

    Devvit.configure(redis=True)

    @Devvit.create_form({"title": "Rename", "fields": [{"type": "string", "name": "to", "label": "To", "required": True}]})
    async def renamed(event, context):
        await context.redis.set("name", event.values.to)
        context.ui.show_toast(f"{context.username} called it {event.values.to}")

    @Devvit.add_menu_item("Rename", "subreddit", for_user_type="moderator")
    async def rename(event, context):
        context.ui.show_form(renamed)
"""


async def test_a_menu_item_shows_a_form_whose_answer_reaches_the_app(bundle: Bundle, playground: Playground) -> None:
    """Nothing is queued here: somebody waits for the answer."""
    app = await playground.install(bundle("names", CODE))
    shown = await app.menu("Rename", as_="Mod")
    assert shown.form["title"] == "Rename"
    done = await shown.submit(to="The Corner")
    assert done.toasts == ["Mod called it The Corner"]
    assert await app.redis.get("name") == "The Corner"


async def test_what_the_form_demands_is_checked_before_the_app_is_asked(bundle: Bundle, playground: Playground) -> None:
    """The errors go to their fields."""
    app = await playground.install(bundle("names", CODE))
    shown = await app.menu("Rename", as_="Mod")
    with pytest.raises(ShowgroundError) as refused:
        await shown.submit()
    assert [problem.where for problem in refused.value.details] == ["values/to"]
    assert await app.redis.get("name") is None


async def test_an_item_for_moderators_is_theirs(bundle: Bundle, playground: Playground) -> None:
    """The host decides, not the page."""
    app = await playground.install(bundle("names", CODE))
    with pytest.raises(AssertionError, match="Rename"):
        await app.menu("Rename", as_="Visitor")
    assert app.version.registration.menu_items[0].for_user_type == ("moderator",)
