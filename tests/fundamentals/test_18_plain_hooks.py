"""Underneath, a bundle is a pluggy plugin: the same app can be written as hooks that return what they register."""

from tests.fundamentals.conftest import Bundle

from showground.testing.playground import Playground


async def test_an_app_of_plain_hooks_is_as_good_as_one_of_decorators(bundle: Bundle, playground: Playground) -> None:
    """Nothing is recorded at import, which some find easier to test; the host sees no difference."""
    app = await playground.install(
        bundle(
            "hooks",
            """
            from showground import SchedulerJob, Trigger, hookimpl

            async def count(event, context):
                return await context.redis.incrby("posts", 1)

            async def forget(event, context):
                await context.redis.delete("posts")

            @hookimpl
            def configure():
                return {"redis": True}

            @hookimpl
            def add_trigger():
                return [Trigger(event="PostCreate", handler=count)]

            @hookimpl
            def add_scheduler_job():
                return [SchedulerJob(name="forget", handler=forget)]
            """,
        )
    )
    assert [job.name for job in app.version.registration.jobs] == ["forget"]
    post = {"post": {"id": "t3_1", "title": "Hi"}}
    assert [await app.emit("PostCreate", post) for _ in range(2)] == [1, 2]
