"""Runs the app on a real host with its own Redis: `python -m pytest`."""

from showground.testing.playground import Playground


async def test_a_new_post_is_greeted(playground: Playground) -> None:
    app = await playground.install()
    async with app.listen("greetings") as listener:
        greeting = await app.emit("PostCreate", {"post": {"id": "t3_1", "title": "World"}})
        assert greeting == "Hello, World"
        assert await listener.next() == {"message": "Hello, World"}
