import asyncio
from contextlib import AsyncExitStack

from showground.testing.playground import Playground


async def test_steps_of_many_hands_add_up(playground: Playground) -> None:
    app = await playground.install()
    post = app.post_of(await app.menu("New progress bar"))
    async with AsyncExitStack() as stack:
        members = [await stack.enter_async_context(post.viewer(name)) for name in ("Ada", "Grace", "Linus")]
        for member in members:
            await member.sees("Live")
        await asyncio.gather(*(member.press("More") for member in members))
        for member in members:
            await member.sees("30 %")
        await members[0].press("Less")
        for member in members:
            await member.sees("20 %")
            await member.sees("Last moved by Ada")


async def test_the_bar_stays_between_0_and_100(playground: Playground) -> None:
    app = await playground.install()
    post = await app.post()
    await app.redis.hset(f"bar:{post.id}", mapping={"progress": 90, "version": 9, "by": "Ada"})
    async with post.viewer("Ada") as ada, post.viewer("Grace") as grace:
        await ada.sees("90 %")
        await grace.sees("90 %")
        await asyncio.gather(ada.press("More"), grace.press("More"))
        await ada.sees("100 %")
        await grace.sees("100 %")
        assert (await app.redis.hget(f"bar:{post.id}", "progress")) == "100"


async def test_strangers_may_look_but_not_move(playground: Playground) -> None:
    app = await playground.install()
    post = await app.post()
    async with post.viewer() as stranger, post.viewer("Ada") as ada:
        await stranger.sees("Live")
        await ada.sees("Live")
        assert not [node for node in stranger.nodes() if "press" in node[1]]
        await ada.press("More")
        await stranger.sees("10 %")


async def test_each_post_has_its_own_bar(playground: Playground) -> None:
    app = await playground.install()
    one, other = await app.post(), await app.post()
    async with one.viewer("Ada") as ada, other.viewer("Grace") as grace:
        await ada.sees("Live")
        await grace.sees("Live")
        await ada.press("More")
        await ada.press("More")
        await grace.press("More")
        await ada.sees("20 %")
        await grace.sees("10 %")
        await grace.sees("Last moved by Grace")
