"""A server that takes no writes for now: the app is told so, and not that its command was wrong."""

from __future__ import annotations

from pathlib import Path

import pytest

from showground.errors import ShowgroundError
from showground.redis.deployment import open_redis
from showground.testing.clock import ManualClock
from showground.testing.conformance.key_value import SCOPE, run
from showground.testing.redis import running_server
from showground.testing.services import services
from showground_redis_kv.redis import open_redis as open_provider
from showground_redis_kv.scope import refused


@pytest.mark.parametrize(("setting", "bad", "good"), [("min-replicas-to-write", 1, 0), ("maxmemory", 1, 0)])
async def test_a_server_that_takes_no_writes_for_now_is_unavailable_and_works_again_afterwards(
    tmp_path: Path, setting: str, bad: int, good: int
) -> None:
    with running_server(tmp_path) as server:
        async with (
            open_redis(server.url, tmp_path) as redis,
            open_provider(services({}, redis, clock=ManualClock())) as provider,
        ):
            await run(provider, "SET", "seats", "3")
            await redis.call("CONFIG", "SET", setting, bad)
            with pytest.raises(ShowgroundError) as caught:
                await run(provider, "SET", "seats", "2")
            assert caught.value.code == "store_unavailable"
            transaction = await provider.transaction(SCOPE, ["seats"])
            await transaction.execute(["MULTI"])
            await transaction.execute(["SET", "seats", "2"])
            with pytest.raises(ShowgroundError) as caught:
                await transaction.exec()
            assert caught.value.code == "store_unavailable"
            assert await run(provider, "GET", "seats") == "3"
            await redis.call("CONFIG", "SET", setting, good)
            assert await run(provider, "SET", "seats", "2") is not None


def test_a_script_that_was_loaded_too_late_for_one_of_two_writes_is_no_fault_of_the_command() -> None:
    assert refused("NOSCRIPT No matching script. Please use EVAL.").code == "store_unavailable"
