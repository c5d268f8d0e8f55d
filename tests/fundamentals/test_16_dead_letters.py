"""A handler that fails is tried again. What fails for good is kept as a dead letter: look at it, mend the app, redrive it."""

import pytest
from tests.fundamentals.conftest import Bundle

from showground.testing.playground import AppFailed, Playground

CODE = """
    from showground import Devvit

    Devvit.configure(redis=True)

    @Devvit.add_trigger("PostCreate")
    async def charge(event, context):
        if not await context.redis.get("paid"):
            raise ValueError("nobody has paid")
        await context.redis.rpush("done", event.post.title)
"""
LETTERS = "/api/v1/communities/playground/apps/cashier/dead-letters"


async def test_what_failed_can_be_looked_at_and_redriven(bundle: Bundle, playground: Playground) -> None:
    """A playground gives up after the first attempt; a host tries five times with growing pauses."""
    app = await playground.install(bundle("cashier", CODE))
    with pytest.raises(AppFailed, match="nobody has paid"):
        await app.emit("PostCreate", {"post": {"id": "t3_1", "title": "Coffee"}})

    [letter] = (await playground.host.call("GET", LETTERS))["dead_letters"]
    assert letter["name"] == "PostCreate"
    assert "nobody has paid" in letter["error"]["message"]

    await app.redis.set("paid", "yes")
    await playground.host.call("POST", f"{LETTERS}/{letter['id']}/redrive")
    await playground.settle()
    assert await app.redis.lrange("done", 0, -1) == ["Coffee"]
    assert (await playground.host.call("GET", LETTERS))["total"] == 0
