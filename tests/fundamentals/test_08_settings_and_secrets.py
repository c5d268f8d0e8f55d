"""Settings have types, defaults and validators. A community has values of its own; secrets belong to the whole app."""

import pytest
from tests.fundamentals.conftest import Bundle

from showground.errors import ShowgroundError
from showground.redis.api import Redis
from showground.testing.playground import Playground

CODE = """
    from showground import Devvit

    def at_least_one(event, context):
        if event.value < 1:
            return "must be 1 or more"

    Devvit.add_settings(
        {"type": "number", "name": "stars", "label": "Stars", "default_value": 3, "on_validate": at_least_one},
        {"type": "string", "name": "api_key", "label": "Key", "scope": "app", "is_secret": True},
    )

    @Devvit.add_trigger("PostCreate")
    async def rate(event, context):
        return [await context.settings.get("stars"), await context.settings.get("api_key")]
"""
POST = {"post": {"id": "t3_1", "title": "Hi"}}


async def test_a_setting_has_its_default_until_somebody_sets_it(bundle: Bundle, playground: Playground) -> None:
    """A change holds from the next call on."""
    app = await playground.install(bundle("stars", CODE))
    assert await app.emit("PostCreate", POST) == [3, None]
    await app.set(stars=5)
    assert await app.emit("PostCreate", POST) == [5, None]


async def test_the_apps_own_validator_refuses_a_value(bundle: Bundle, playground: Playground) -> None:
    """What it returns is what the operator reads."""
    app = await playground.install(bundle("stars", CODE))
    with pytest.raises(ShowgroundError, match="must be 1 or more"):
        await app.set(stars=0)
    assert await app.emit("PostCreate", POST) == [3, None]


async def test_the_app_reads_a_secret_that_neither_people_nor_redis_can(
    bundle: Bundle, playground: Playground, redis: Redis
) -> None:
    """Encrypted before it is stored, never shown again."""
    app = await playground.install(bundle("stars", CODE))
    await playground.host.call("PUT", "/api/v1/apps/stars/settings", json={"api_key": "s3cr3t-and-long"})
    assert await app.emit("PostCreate", POST) == [3, "s3cr3t-and-long"]
    shown = await playground.host.call("GET", "/api/v1/apps/stars/settings")
    assert [(s["name"], s["set"], s.get("value")) for s in shown["settings"]] == [("api_key", True, None)]
    [key] = [key async for key in redis.scan("*:app:stars:settings")]
    assert b"s3cr3t" not in b"".join(await redis.call("HVALS", key))
