"""use_channel joins the viewers of a post: what one sends, all see, at once."""

from tests.fundamentals.conftest import Bundle

from showground.testing.playground import Playground


async def test_what_one_viewer_does_the_other_sees(bundle: Bundle, playground: Playground) -> None:
    """Any viewer may send; so may the server. on_message runs for each viewer, with that viewer's state."""
    app = await playground.install(
        bundle(
            "wall",
            """
            from showground import Devvit, use_channel, use_state
            from showground.blocks import blocks, button, text, vstack

            Devvit.configure(realtime=True)

            @Devvit.add_trigger("PostCreate")
            async def tell(event, context):
                await context.realtime.send("wall", {"says": event.post.title})

            @Devvit.add_custom_post_type("Wall")
            def wall(context):
                last, set_last = use_state("nothing yet")
                status, set_status = use_state("away")
                channel = use_channel(
                    name="wall",
                    on_message=lambda data: set_last(data["says"]),
                    on_subscribed=lambda: set_status("here"),
                )
                channel.subscribe()

                async def wave():
                    await channel.send({"says": f"{context.username} waves"})

                return blocks(vstack(text(last), text(status), button("Wave", on_press=wave)))
            """,
        )
    )
    post = await app.post()
    async with post.viewer("ada") as ada, post.viewer("bob") as bob:
        await ada.sees("here")
        await bob.sees("here")
        await ada.press("Wave")
        await bob.sees("ada waves")
        await app.emit("PostCreate", {"post": {"id": "t3_1", "title": "from the server"}})
        await ada.sees("from the server")
        await bob.sees("from the server")
