"""context.cache keeps what was costly to get. Of many callers at once, one fetches and all have the result."""

import asyncio

from tests.fundamentals.conftest import Bundle

from showground.testing.playground import Playground


async def test_one_caller_fetches_and_the_others_have_what_was_kept(bundle: Bundle, playground: Playground) -> None:
    """Over all workers and hosts: the kept value and the lock are in Redis."""
    app = await playground.install(
        bundle(
            "weather",
            """
            from showground import Devvit

            Devvit.configure(redis=True)

            @Devvit.add_trigger("PostCreate")
            async def look(event, context):
                async def fetch():
                    return {"degrees": 20, "fetched": await context.redis.incrby("fetched", 1)}

                return await context.cache(fetch, key="weather", ttl_ms=60_000)
            """,
        )
    )
    path = "/api/v1/communities/playground/apps/weather/invoke/PostCreate"
    answers = await asyncio.gather(*(playground.host.call("POST", path, json={}) for _ in range(8)))
    assert answers == [{"degrees": 20, "fetched": 1}] * 8
    assert await app.redis.get("fetched") == "1"
