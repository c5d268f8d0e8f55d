from contextlib import AsyncExitStack

import pytest

from showground.testing.playground import Playground


async def test_everybody_who_looks_is_told_the_time_each_minute(playground: Playground) -> None:
    app = await playground.install()
    post = app.post_of(await app.menu("New server push post"))
    await next_minute(playground)
    async with AsyncExitStack() as stack, app.listen("events") as listener:
        viewers = [await stack.enter_async_context(post.viewer(name)) for name in ("Ada", "Grace", None)]
        for viewer in viewers:
            await viewer.sees("Live")
        for _ in range(3):
            await next_minute(playground)
            told = await listener.next()
            for viewer in viewers:
                await viewer.sees(told["message"])


async def next_minute(playground: Playground) -> None:
    """Be one second into it: the clock runs by itself too, and now passes no other minute soon."""
    await playground.clock.advance(seconds=61 - playground.clock.now_ms / 1000 % 60)


async def test_the_job_is_planned_once_however_often_the_app_is_installed(playground: Playground) -> None:
    app = await playground.install()
    await app.emit("AppUpgrade", {})
    jobs = await app.context.scheduler.list_jobs()
    assert [(job.name, job.cron) for job in jobs] == [("publish_to_channel", "* * * * *")]


async def test_only_moderators_may_make_a_post(playground: Playground) -> None:
    app = await playground.install()
    answer = await app.menu("New server push post")
    assert answer.toasts == ["Posted"]
    with pytest.raises(AssertionError, match="offers Ada no menu item"):
        await app.menu("New server push post", as_="Ada")
