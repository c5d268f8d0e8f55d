"""A custom post type draws a post with blocks. use_state remembers, per viewer, on the server."""

from tests.fundamentals.conftest import Bundle

from showground.testing.playground import Playground

CODE = """
    from showground import Devvit, use_state
    from showground.blocks import blocks, button, text, vstack

    @Devvit.add_custom_post_type("Counter")
    def counter(context):
        count, set_count = use_state(0)
        return blocks(
            vstack(
                text(f"{context.username or 'Somebody'} counted to {count}"),
                button("More", on_press=lambda: set_count(count + 1)),
            )
        )
"""


async def test_a_press_changes_what_its_viewer_sees(bundle: Bundle, playground: Playground) -> None:
    """The function draws; a press calls the handler; the function draws again, and the difference goes to the browser."""
    app = await playground.install(bundle("counter", CODE))
    post = await app.post()
    async with post.viewer("ada") as ada, post.viewer("bob") as bob:
        await ada.press("More")
        await ada.press("More")
        await ada.sees("ada counted to 2")
        await bob.sees("bob counted to 0")


async def test_a_viewer_who_comes_back_finds_it_as_it_was(bundle: Bundle, playground: Playground) -> None:
    """The state is kept by the host, so a lost connection, a reload or a dead worker costs nothing."""
    app = await playground.install(bundle("counter", CODE))
    async with (await app.post()).viewer("ada") as ada:
        await ada.press("More")
        await ada.cut()
        await ada.connect()
        await ada.sees("ada counted to 1")
