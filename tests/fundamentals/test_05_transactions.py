"""Watch, read, queue, execute: when somebody changed what was read, nothing is done and the app tries again."""

import asyncio

from tests.fundamentals.conftest import Bundle

from showground.testing.playground import Playground


async def test_the_last_seat_is_sold_once(bundle: Bundle, playground: Playground) -> None:
    """Ten buyers at once, three seats. Without the watch, some would read the same number and sell a seat twice."""
    app = await playground.install(
        bundle(
            "tickets",
            """
            from showground import Devvit

            Devvit.configure(redis=True)

            @Devvit.add_trigger("PostCreate")
            async def buy(event, context):
                while True:
                    async with context.redis.watch("seats") as tx:
                        left = int(await tx.get("seats") or 0)
                        if left == 0:
                            return "sold out"
                        tx.multi()
                        await tx.set("seats", left - 1)
                        if await tx.exec() is not None:
                            return f"seat {left}"
            """,
        )
    )
    await app.redis.set("seats", 3)
    path = "/api/v1/communities/playground/apps/tickets/invoke/PostCreate"
    answers = await asyncio.gather(*(playground.host.call("POST", path, json={}) for _ in range(10)))
    assert sorted(answers) == ["seat 1", "seat 2", "seat 3"] + ["sold out"] * 7
