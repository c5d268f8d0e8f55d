"""A version never changes. Install another one and the app is told; roll back and it is told again; its data stays."""

from tests.fundamentals.conftest import Bundle

from showground.testing.playground import Playground

CODE = """
    from showground import Devvit

    Devvit.configure(redis=True)

    @Devvit.add_trigger("AppInstall", "AppUpgrade")
    async def note(event, context):
        await context.redis.rpush("life", f"{event.type} {context.app_version}")

    @Devvit.add_trigger("PostCreate")
    async def version(event, context):
        return context.app_version
"""
POST = {"post": {"id": "t3_1", "title": "Hi"}}


async def test_an_upgrade_and_a_rollback_keep_the_data_and_are_told(bundle: Bundle, playground: Playground) -> None:
    """No event is lost in between: what arrives during the change is handled by the old version or by the new one."""
    app = await playground.install(bundle("living", CODE, "1.0.0"))
    assert await app.emit("PostCreate", POST) == "1.0.0"

    app = await playground.install(bundle("living", CODE, "1.1.0"))
    assert await app.emit("PostCreate", POST, id="after the upgrade") == "1.1.0"

    await playground.host.call("POST", "/api/v1/communities/playground/apps/living/rollback")
    await playground.settle()
    assert await app.emit("PostCreate", POST, id="after the rollback") == "1.0.0"
    assert await app.redis.lrange("life", 0, -1) == ["AppInstall 1.0.0", "AppUpgrade 1.1.0", "AppUpgrade 1.0.0"]
