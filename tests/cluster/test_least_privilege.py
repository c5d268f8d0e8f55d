"""A host whose Redis user may do only what docs/redis.md lists."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
import redis

from showground.keys import KeySpace
from showground.redis.deployment import open_redis
from showground.redis.server import ServerProcess
from showground.testing.cluster import RunningCluster
from showground.testing.host import running_host
from showground.testing.redis import plain_client
from showground.testing.viewer import Viewer
from showground.testing.waiting import eventually

COUNTER = Path(__file__).parent / "counter"
TALLY = Path(__file__).parent.parent / "runtime/views/tally"
DOCUMENTED = Path(__file__).parents[2] / "docs/redis.md"


@pytest.fixture(params=["single", "cluster"])
def redis_kind(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@contextmanager
def every_client(deployment: ServerProcess | RunningCluster) -> Iterator[list[redis.Redis]]:
    """To every server, replicas too: they do not take users over from their primaries, and may be asked first."""
    if isinstance(deployment, ServerProcess):
        with plain_client(deployment) as client:
            yield [client]
    else:
        yield [node.client for node in deployment.nodes]


@pytest.fixture
def limited_url(deployment: ServerProcess | RunningCluster, redis_url: str, keys: KeySpace) -> str:
    """The URL with the documented user instead."""
    line = next(line for line in DOCUMENTED.read_text().splitlines() if line.startswith("ACL SETUSER showground"))
    words = line.replace(">password", ">secret").replace("~sg:", f"~{keys.prefix}:").replace("&sg:", f"&{keys.prefix}:")
    with every_client(deployment) as clients:
        for client in clients:
            client.execute_command("ACL", "DELUSER", "showground")  # type: ignore[no-untyped-call]
            client.execute_command(*words.split())  # type: ignore[no-untyped-call]
    scheme, _, rest = redis_url.partition("://")
    return f"{scheme}://showground:secret@{rest.partition('@')[2]}"


async def test_a_host_needs_no_more_than_the_documented_rights(
    tmp_path: Path, limited_url: str, keys: KeySpace
) -> None:
    async with running_host(tmp_path / "data", limited_url, keys.prefix) as host:
        await host.install(COUNTER)
        await host.install(TALLY)
        answer = await host.emit("PostCreate", {"post": {"id": "t3_1", "title": "Hi"}})
        assert answer["events"][0]["deliveries"][0]["status"] == "done"
        app = "/api/v1/communities/playground/apps/counter"

        async def has_ticked() -> bool:
            return bool((await host.call("GET", f"{app}/channels/events/history"))["messages"])

        await eventually(has_ticked)
        async with Viewer(host.host.url, await host.submit_post("tally")) as viewer:
            await viewer.sees("channel here")
            await viewer.press("Add shared")
            await viewer.sees("shared 1")
        assert (await host.call("GET", f"{app}/kv"))["bytes_used"] > 0
        await host.call("DELETE", "/api/v1/communities/playground/apps/counter")
    async with open_redis(limited_url, Path()) as client:
        name = keys.host("bundle", "copied")
        await client.call("SET", name, "x", "EX", 60)
        dump = await client.call("DUMP", name)
        assert await client.call("RESTORE", name, 60_000, dump, "REPLACE") == b"OK"
        with pytest.raises(Exception, match="NOPERM"):
            await client.call("SET", "elsewhere", 1)
        with pytest.raises(Exception, match="NOPERM"):
            await client.call("CONFIG", "GET", "*")
