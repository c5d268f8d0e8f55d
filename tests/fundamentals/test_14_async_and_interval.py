"""use_async loads without holding up the post; use_interval calls again and again while somebody looks."""

from tests.fundamentals.conftest import Bundle

from showground.testing.playground import Playground


async def test_the_post_is_there_before_its_data_is(bundle: Bundle, playground: Playground) -> None:
    """First it says that it loads, then it is drawn again by itself."""
    app = await playground.install(
        bundle(
            "score",
            """
            from showground import Devvit, use_async
            from showground.blocks import blocks, text

            Devvit.configure(redis=True)

            @Devvit.add_custom_post_type("Score")
            def score(context):
                async def load():
                    return await context.redis.get("score")

                found = use_async(load)
                return blocks(text("…" if found.loading else f"score {found.data}"))
            """,
        )
    )
    await app.redis.set("score", 42)
    async with (await app.post()).viewer() as viewer:
        await viewer.sees("score 42")


async def test_an_interval_ticks_in_each_viewers_own_time(bundle: Bundle, playground: Playground) -> None:
    """The timer is the browser's: `tick` stands for its passing."""
    app = await playground.install(
        bundle(
            "countdown",
            """
            from showground import Devvit, use_interval, use_state
            from showground.blocks import blocks, text

            @Devvit.add_custom_post_type("Countdown")
            def countdown(context):
                left, set_left = use_state(3)
                timer = use_interval(lambda: set_left(left - 1), 1000)
                if left > 0:
                    timer.start()
                else:
                    timer.stop()
                return blocks(text(f"{left} left"))
            """,
        )
    )
    async with (await app.post()).viewer() as viewer:
        for left in (3, 2, 1, 0):
            await viewer.sees(f"{left} left")
            await viewer.tick()
        assert viewer.intervals == {}, "a timer that was stopped no longer runs in the browser"
