"""print, logging and tracebacks of an app go to the log of its installation."""

import json

from tests.fundamentals.conftest import Bundle

from showground.testing.playground import Playground
from showground.testing.waiting import eventually


async def test_what_an_app_prints_can_be_read(bundle: Bundle, playground: Playground) -> None:
    """Each line knows its invocation, so the lines of one call can be read together."""
    app = await playground.install(
        bundle(
            "chatty",
            """
            import logging

            from showground import Devvit

            @Devvit.add_trigger("PostCreate")
            def talk(event, context):
                print("saw", event.post.title)
                logging.getLogger("chatty").warning("this is odd")
                return context.invocation_id
            """,
        )
    )
    invocation = await app.emit("PostCreate", {"post": {"id": "t3_1", "title": "Hi"}})

    async def lines() -> list[tuple[str, str]]:
        path = f"/api/v1/communities/playground/apps/chatty/logs?invocation={invocation}"
        async with playground.host.client.get(playground.host.host.url + path) as response:
            found = [json.loads(line) for line in (await response.text()).splitlines()]
        return [(line["level"], line["text"]) for line in found]

    async def both() -> bool:
        return len(await lines()) == 2

    await eventually(both)
    assert ("info", "saw Hi") in await lines()
    assert any(level == "warning" and "this is odd" in text for level, text in await lines())
