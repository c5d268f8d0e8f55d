"""What a host says and does while its Redis is away, and that it needs nobody to go on."""

from __future__ import annotations

import os
import signal
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

import msgspec
import pytest
from tests.runtime.redis.haste import hurried

from showground.errors import ShowgroundError
from showground.redis.server import ServerProcess
from showground.testing.host import HostUnderTest, running_host
from showground.testing.redis import running_server
from showground.testing.viewer import Viewer
from showground.testing.waiting import eventually

TALLY = Path(__file__).parent.parent / "views/tally"
COUNTER = Path(__file__).parents[2] / "cluster/counter"
EVENT = msgspec.json.encode(
    {"specversion": "1.0", "id": "lost", "source": "t", "type": "PostCreate", "subject": "playground",
     "data": {"post": {"id": "t3_9", "title": "x"}}}
)  # fmt: skip
HASTE_S = 0.5
"""How long requests wait for Redis while it is away."""
APP = "/api/v1/communities/playground/apps/counter"


@pytest.fixture
def server(tmp_path: Path) -> Iterator[ServerProcess]:
    with running_server(tmp_path / "redis", fsync="always") as server:
        yield server


@pytest.fixture
async def host(tmp_path: Path, server: ServerProcess) -> AsyncIterator[HostUnderTest]:
    async with running_host(tmp_path / "data", server.url, "sg") as host:
        await host.install(COUNTER)
        await host.install(TALLY)
        yield host


async def readiness(host: HostUnderTest) -> tuple[int, list[str]]:
    """The status of `/readyz`, and the checks that are red."""
    async with host.client.get(f"{host.host.url}/readyz") as response:
        body: dict[str, Any] = await response.json()
        return response.status, [check["name"] for check in body["checks"] if not check["ok"]]


async def is_red(host: HostUnderTest) -> bool:
    status, red = await readiness(host)
    return status == 503 and "redis" in red


async def is_green(host: HostUnderTest) -> bool:
    return await readiness(host) == (200, [])


async def is_told_to_come_back(host: HostUnderTest) -> None:
    """Requests fail soon, and say when to try again."""
    requests = (
        ("GET", f"{APP}/kv", None),
        ("GET", f"{APP}/jobs", None),
        ("POST", f"{APP}/channels/events", b'{"n": 1}'),
        ("POST", "/api/v1/events", EVENT),
    )  # fmt: skip
    for method, path, data in requests:
        kind = "application/cloudevents+json" if path.endswith("events") and "v1/events" in path else "application/json"
        headers = {"Content-Type": kind}
        async with host.client.request(method, host.host.url + path, data=data, headers=headers) as response:
            error = ShowgroundError.from_json(await response.json())
            assert (response.status, error.code) == (503, "store_unavailable"), path
            assert int(response.headers["Retry-After"]) >= 1, path


async def goes_on(host: HostUnderTest, viewer: Viewer, number: int) -> None:
    """Events, jobs, channels and posts work, with what they had before."""
    answer = await host.emit("PostCreate", {"post": {"id": f"t3_{number}", "title": "Hi"}}, id=f"e{number}")
    assert answer["events"][0]["deliveries"][0]["status"] == "done"

    async def has_ticked() -> bool:
        messages = (await host.call("GET", f"{APP}/channels/events/history"))["messages"]
        return bool(messages) and messages[-1]["data"]["posts"] >= number

    await eventually(has_ticked)
    await viewer.press("Add shared")
    await viewer.sees(f"shared {number}")


async def test_a_host_says_that_redis_is_away_and_recovers_by_itself(
    host: HostUnderTest, server: ServerProcess
) -> None:
    async with Viewer(host.host.url, await host.submit_post("tally")) as viewer:
        await viewer.sees("channel here")
        await goes_on(host, viewer, 1)
        await eventually(lambda: is_green(host))

        assert server.pid is not None
        with hurried(host.host.bundles._redis, HASTE_S):
            os.kill(server.pid, signal.SIGSTOP)
            try:
                await is_told_to_come_back(host)
            finally:
                os.kill(server.pid, signal.SIGCONT)
        await eventually(lambda: is_green(host))
        await goes_on(host, viewer, 2)

        with hurried(host.host.bundles._redis, HASTE_S):
            server.kill()
            await is_told_to_come_back(host)
        await eventually(lambda: is_red(host), 20)
        async with host.client.get(f"{host.host.url}/healthz") as response:
            assert response.status == 200, "a restart of the host would help nobody"
        server.start()
        server.wait_ready(30)
        await eventually(lambda: is_green(host), 20)
        await goes_on(host, viewer, 3)
