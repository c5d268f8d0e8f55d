"""Events come as CloudEvents. A trigger handles one, at least once; the sender may wait for what became of it."""

from tests.fundamentals.conftest import Bundle

from showground.testing.playground import Playground

POST = {"post": {"id": "t3_1", "title": "Hi"}}
GREETS = """
    from showground import Devvit

    @Devvit.add_trigger("PostCreate", "PostDelete")
    async def tell(event, context):
        return [event.type, context.attempt]
"""


async def test_one_handler_may_hear_several_events(bundle: Bundle, playground: Playground) -> None:
    """The event says which one it is."""
    app = await playground.install(bundle("ears", GREETS))
    assert await app.emit("PostCreate", POST) == ["PostCreate", 1]
    assert await app.emit("PostDelete", {"postId": "t3_1"}) == ["PostDelete", 1]


async def test_the_same_event_sent_twice_is_delivered_once(bundle: Bundle, playground: Playground) -> None:
    """Source and id name an event for 24 hours, so a sender that is not sure sends again."""
    app = await playground.install(
        bundle(
            "careful",
            """
            from showground import Devvit

            Devvit.configure(redis=True)

            @Devvit.add_trigger("PostCreate")
            async def count(event, context):
                return await context.redis.incrby("posts", 1)
            """,
        )
    )
    assert await app.emit("PostCreate", POST, id="the-first-post") == 1
    assert await app.emit("PostCreate", POST, id="the-first-post") == 1
    assert await app.emit("PostCreate", POST, id="the-second-post") == 2


async def test_every_installed_app_with_a_trigger_gets_the_event(bundle: Bundle, playground: Playground) -> None:
    """Each has a delivery of its own, with its own retries."""
    await playground.install(bundle("ears", GREETS))
    await playground.install(bundle("more-ears", GREETS))
    answer = await playground.host.emit("PostCreate", POST, id="e1")
    assert {d["installation"]: d["result"] for d in answer["events"][0]["deliveries"]} == {
        "ears:playground": ["PostCreate", 1],
        "more-ears:playground": ["PostCreate", 1],
    }
