"""What an app uses, it configures; what leaves the host or comes from a plugin, its app.json asks for in writing."""

import pytest
from tests.fundamentals.conftest import Bundle

from showground.errors import ShowgroundError
from showground.testing.playground import Playground


async def test_a_configured_capability_can_be_used(bundle: Bundle, playground: Playground) -> None:
    """Several calls of configure are merged."""
    app = await playground.install(
        bundle(
            "both",
            """
            from showground import Devvit

            Devvit.configure(redis=True)
            Devvit.configure(realtime=True)
            """,
        )
    )
    assert app.version.registration.capabilities >= {"redis", "realtime"}


async def test_what_was_not_configured_is_refused_with_the_remedy(bundle: Bundle, playground: Playground) -> None:
    """The refusal comes from the host, whatever the worker says."""
    await playground.install(
        bundle(
            "forgetful",
            """
            from showground import Devvit

            @Devvit.add_trigger("PostCreate")
            async def count(event, context):
                member = context
                await member.redis.incrby("posts", 1)
            """,
        )
    )
    with pytest.raises(ShowgroundError, match=r"passing `redis=True` to `Devvit.configure`"):
        await playground.host.call("POST", "/api/v1/communities/playground/apps/forgetful/invoke/PostCreate", json={})


async def test_what_the_manifest_does_not_permit_is_found_before_the_app_runs(
    bundle: Bundle, playground: Playground
) -> None:
    """Requests to other sites must stand in app.json, where an operator can see them before installing."""
    folder = bundle("curious", 'from showground import Devvit\n\nDevvit.configure(http={"domains": ["example.com"]})\n')
    with pytest.raises(ShowgroundError) as refused:
        await playground.install(folder)
    assert refused.value.code == "bundle_invalid"
    assert any("permissions" in problem.remedy for problem in refused.value.details)
