"""A channel carries messages from the server to whoever listens: posts, pages, scripts. Order per channel, nothing twice."""

from tests.fundamentals.conftest import Bundle

from showground.testing.playground import Playground

CODE = """
    from showground import Devvit

    Devvit.configure(realtime=True)

    @Devvit.add_trigger("PostCreate")
    async def announce(event, context):
        return await context.realtime.send("news", {"title": event.post.title})
"""


async def test_what_is_sent_is_heard_in_order(bundle: Bundle, playground: Playground) -> None:
    """Anybody with a token may listen, over a WebSocket, server-sent events or `showground listen`."""
    app = await playground.install(bundle("news", CODE))
    async with app.listen("news") as listener:
        for title in ("one", "two", "three"):
            await app.emit("PostCreate", {"post": {"id": "t3_1", "title": title}})
        assert [await listener.next() for _ in range(3)] == [{"title": "one"}, {"title": "two"}, {"title": "three"}]


async def test_who_comes_later_can_ask_for_what_was_missed(bundle: Bundle, playground: Playground) -> None:
    """Every message has a position; history after a position is complete, or the answer says that it is not."""
    app = await playground.install(bundle("news", CODE))
    seen = await app.emit("PostCreate", {"post": {"id": "t3_1", "title": "seen"}})
    await app.emit("PostCreate", {"post": {"id": "t3_2", "title": "missed"}})
    path = f"/api/v1/communities/playground/apps/news/channels/news/history?since={seen}"
    history = await playground.host.call("GET", path)
    assert [message["data"] for message in history["messages"]] == [{"title": "missed"}]
    assert history["recovered"]
