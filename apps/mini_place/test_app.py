from typing import Any

import pytest

from showground.testing.playground import Playground

BYTES_PER_PIXEL = 400
"""What a viewer may receive, at most, when one pixel is painted."""


async def test_a_pixel_is_seen_by_everybody_and_by_whoever_comes_later(playground: Playground) -> None:
    app = await playground.install()
    post = app.post_of(await app.menu("New Mini Place"))
    async with post.viewer("Ada") as ada, post.viewer("Grace") as grace, post.viewer() as stranger:
        for viewer in (ada, grace, stranger):
            await viewer.sees("Live")
        await ada.press("Paint in green")
        await ada.press("Row 4, column 6: white")
        for viewer in (ada, grace, stranger):
            await viewer.sees("Row 4, column 6: green")
        await stranger.press("Row 4, column 6: green")
        await ada.sees("Row 4, column 6: black")
        async with post.viewer("Linus") as late:
            await late.sees("Row 4, column 6: black")


async def test_the_colour_that_one_chose_is_nobody_elses(playground: Playground) -> None:
    app = await playground.install()
    post = await app.post()
    async with post.viewer("Ada") as ada, post.viewer("Grace") as grace:
        await ada.sees("Live")
        await grace.sees("Live")
        await ada.press("Paint in blue")
        await grace.press("Row 1, column 1: white")
        await ada.sees("Row 1, column 1: black")


async def test_each_post_has_its_own_canvas(playground: Playground) -> None:
    app = await playground.install()
    one, other = await app.post(), await app.post()
    async with one.viewer("Ada") as ada, other.viewer("Grace") as grace:
        await ada.sees("Live")
        await grace.sees("Live")
        await ada.press("Row 1, column 1: white")
        await grace.press("Row 8, column 8: white")
        assert "Row 1, column 1: white" in grace.labels
        assert await app.redis.hgetall(f"canvas:{one.id}") == {"version": "1", "0": "1"}


async def test_whoever_was_away_finds_what_was_painted_meanwhile(playground: Playground) -> None:
    app = await playground.install()
    post = await app.post()
    async with post.viewer("Ada") as ada, post.viewer("Grace") as grace:
        await ada.sees("Live")
        await grace.sees("Live")
        await grace.cut()
        await ada.press("Row 2, column 2: white")
        await grace.connect()
        assert grace.resumed
        await grace.sees("Row 2, column 2: black")


async def test_one_pixel_costs_a_viewer_little(playground: Playground) -> None:
    app = await playground.install()
    post = await app.post()
    async with post.viewer("Ada") as ada, post.viewer("Grace") as grace:
        await ada.sees("Live")
        await grace.sees("Live")
        before = ada.bytes_received, grace.bytes_received
        await ada.press("Row 1, column 2: white")
        await grace.sees("Row 1, column 2: black")
        assert ada.bytes_received - before[0] < BYTES_PER_PIXEL
        assert grace.bytes_received - before[1] < BYTES_PER_PIXEL


class TestWhenTheChannelIsBusy:
    @pytest.fixture
    def playground_settings(self) -> dict[str, dict[str, Any]]:
        """So few messages that every second pixel finds the channel closed."""
        return {"realtime": {"messages_per_s": 1}}

    async def test_a_pixel_is_not_lost(self, playground: Playground) -> None:
        app = await playground.install()
        post = await app.post()
        async with post.viewer("Ada") as ada:
            await ada.sees("Live")
            for column in range(1, 9):
                await ada.press(f"Row 1, column {column}: white")
            assert "Painted. The others will see it when they come back." in ada.toasts
            async with post.viewer("Grace") as grace:
                for column in range(1, 9):
                    await grace.sees(f"Row 1, column {column}: black")
