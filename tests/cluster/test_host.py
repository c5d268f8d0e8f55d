"""A whole host on a cluster: install, events, jobs, channels, live posts, and a primary that dies under it."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest

from showground.errors import ShowgroundError
from showground.keys import KeySpace
from showground.redis.slots import key_slot
from showground.testing.cluster import RunningCluster
from showground.testing.host import HostUnderTest, running_host
from showground.testing.viewer import Viewer
from showground.testing.waiting import eventually

TALLY = Path(__file__).parent.parent / "runtime/views/tally"
COUNTER = Path(__file__).parent / "counter"


@pytest.fixture
def redis_kind() -> str:
    return "cluster"


@pytest.fixture
def shaken(redis_cluster: RunningCluster) -> Iterator[RunningCluster]:
    yield redis_cluster
    redis_cluster.restore()


@pytest.fixture
async def host(tmp_path: Path, shaken: RunningCluster, redis_url: str, keys: KeySpace) -> AsyncIterator[HostUnderTest]:
    retries = {"retry_base_s": 0.2, "retry_cap_s": 1.0}
    async with running_host(tmp_path / "data", redis_url, keys.prefix, deliveries=retries) as host:
        await host.install(COUNTER)
        await host.install(TALLY)
        yield host


async def outcome(host: HostUnderTest, number: int) -> str:
    """How the delivery of one event ended."""
    answer = await host.emit("PostCreate", {"post": {"id": f"t3_{number}", "title": "Hi"}}, id=f"post{number}")
    return str(answer["events"][0]["deliveries"][0]["status"])


CHANNEL = "/api/v1/communities/playground/apps/counter/channels/events"


async def has_counted(host: HostUnderTest, posts: int) -> bool:
    """Whether the job's message is in the channel. An attempt that the outage cut off may have counted before."""
    found = await host.call("GET", CHANNEL + "/history")
    return bool(found["messages"]) and found["messages"][-1]["data"]["posts"] >= posts


async def test_everything_works_and_goes_on_when_a_primary_dies(host: HostUnderTest, shaken: RunningCluster) -> None:
    assert await outcome(host, 1) == "done"
    await eventually(lambda: has_counted(host, 1))
    post = await host.submit_post("tally")
    async with Viewer(host.host.url, post) as one, Viewer(host.host.url, post) as two:
        for viewer in (one, two):
            await viewer.sees("channel here")
        await one.press("Add shared")
        await two.sees("shared 1")
        await one.press("Add own")

        victim = shaken.owner(key_slot("{counter:playground}"))
        # WAIT is about the writes of its own connection; one more of it comes after all those of the host.
        victim.do("SET", "{counter:playground}", "", "PX", 60_000)
        assert victim.client.wait(1, 30_000) == 1
        victim.server.kill()

        errors: list[ShowgroundError] = []

        async def is_back() -> bool:
            try:
                return await outcome(host, 2) == "done"
            except ShowgroundError as error:
                errors.append(error)
                return False

        await eventually(is_back)
        assert all(error.kind.temporary for error in errors), errors
        await eventually(lambda: has_counted(host, 2))
        await one.press("Add shared")
        await two.sees("shared 2")
        assert "own 1" in one.text
