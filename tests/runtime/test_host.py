"""What the composition root joins: seen from outside, on a whole host."""

import asyncio
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from showground.errors import ShowgroundError
from showground.keys import KeySpace
from showground.model import AppVersion, LimitBounds, Limits
from showground.redis.api import CommandRefused, Redis
from showground.settings import load_settings
from showground.supervisor.limits import bounded
from showground.testing.bundles import write_bundle
from showground.testing.host import HostUnderTest, running_host
from showground.testing.waiting import eventually
from showground.web.server import WebServer

MEASURES_ITSELF = """
import resource
from showground import Devvit

@Devvit.add_trigger("PostCreate")
def limits(event, context):
    return [resource.getrlimit(resource.RLIMIT_NOFILE)[0], context.remaining_s <= 9]
"""
POST = {"post": {"id": "t3_1", "title": "Hi"}}


@pytest.mark.parametrize(
    ("asked", "bounds", "given"),
    [
        ({}, {}, {}),
        ({}, {"memory_mb": 128}, {"memory_mb": 128}),
        ({}, {"memory_mb": 1024}, {"memory_mb": 1024}),
        (
            {"memory_mb": 512, "timeout_s": 5.0},
            {"memory_mb": 300, "timeout_s": 10.0},
            {"memory_mb": 300, "timeout_s": 5.0},
        ),
    ],
)
def test_a_limit_is_what_is_asked_for_within_the_operators_bound(
    asked: Mapping[str, Any], bounds: Mapping[str, Any], given: Mapping[str, Any]
) -> None:
    app = AppVersion(app="a", version="1.0.0", digest="d", entry="main.py", limits=Limits(**asked))
    assert bounded(app, LimitBounds(**bounds)).limits == Limits(**given)


@pytest.mark.parametrize("bounds", [{"memory_mb": 1}, {"timeout_s": 0}, {"memory": 64}])
def test_a_bound_under_which_nothing_would_start_is_refused(bounds: Mapping[str, Any]) -> None:
    with pytest.raises(ShowgroundError, match="limits"):
        load_settings(environ={}, flags={"workers": {"limits": bounds}})


async def test_the_operators_bounds_hold_for_workers_and_deadlines(
    tmp_path: Path, redis_url: str, keys: KeySpace
) -> None:
    app = write_bundle(tmp_path / "greedy", MEASURES_ITSELF, limits={"open_files": 200, "timeout_s": 100})
    workers = {"limits": {"open_files": 40, "timeout_s": 9}}
    async with running_host(tmp_path / "host", redis_url, keys.prefix, workers=workers) as host:
        await host.install(app)
        path = "/api/v1/communities/playground/apps/greedy/invoke/PostCreate"
        assert await host.call("POST", path, json=POST) == [40, True]
    async with running_host(tmp_path / "host", redis_url, keys.prefix) as host:
        assert await host.call("POST", path, json=POST) == [200, False], "bounds are the host's, not the version's"


async def test_a_handler_that_outlives_its_installation_leaves_nothing_behind(
    tmp_path: Path, redis_url: str, keys: KeySpace, redis: Redis
) -> None:
    code = """
import asyncio
from showground import Devvit

Devvit.configure(redis=True)

@Devvit.add_trigger("PostCreate")
async def linger(event, context):
    await context.redis.set("begun", "yes")
    while True:
        await asyncio.sleep(0.02)
        await context.redis.incrby("later", 1)
"""
    async with running_host(tmp_path / "host", redis_url, keys.prefix) as host:
        await host.install(write_bundle(tmp_path / "clingy", code))
        path = "/api/v1/communities/playground/apps/clingy"
        lingering = host.call("POST", f"{path}/invoke/PostCreate", json=POST)

        waiting = asyncio.gather(lingering, return_exceptions=True)
        await eventually(lambda: has_key(redis, keys, "begun"))
        await host.call("DELETE", path)
        [error] = await waiting
        assert isinstance(error, ShowgroundError)
        assert [key async for key in redis.scan(f"{keys.prefix}:{{clingy:playground}}:kv:*")] == []


async def test_metrics_say_how_much_is_installed_and_what_changed(
    tmp_path: Path, redis_url: str, keys: KeySpace
) -> None:
    async with running_host(tmp_path / "host", redis_url, keys.prefix) as host:
        await host.install(write_bundle(tmp_path / "one", MEASURES_ITSELF))
        metrics = await text(host, "/metrics")
        assert "showground_installations 1.0" in metrics
        assert 'showground_host_events_total{event="app_install"} 1.0' in metrics
        assert "showground_event_loop_lag_seconds " in metrics


async def test_a_host_lets_go_of_bundles_that_no_version_has(
    tmp_path: Path, redis_url: str, keys: KeySpace, redis: Redis
) -> None:
    orphan = keys.host("bundle", "0" * 64)
    await redis.call("HSET", orphan, "0", b"left by a host that was lost")
    async with running_host(tmp_path / "host", redis_url, keys.prefix):
        await eventually(lambda: expires(redis, orphan))


async def test_a_section_that_nothing_reads_stops_the_host(tmp_path: Path, redis_url: str, keys: KeySpace) -> None:
    with pytest.raises(ShowgroundError, match=r"(?s)realtme.*Did you mean realtime") as caught:
        async with running_host(tmp_path, redis_url, keys.prefix, realtme={"channels": 9}):
            pass
    assert caught.value.code == "misconfigured"


async def has_key(redis: Redis, keys: KeySpace, name: str) -> bool:
    return bool([key async for key in redis.scan(f"{keys.prefix}:{{clingy:playground}}:*{name}")])


async def expires(redis: Redis, key: str) -> bool:
    return int(await redis.call("TTL", key)) > 0


async def text(host: HostUnderTest, path: str) -> str:
    async with host.client.get(host.host.url + path) as response:
        return await response.text()


async def test_a_host_that_cannot_start_has_never_listened(
    tmp_path: Path, redis: Redis, redis_url: str, keys: KeySpace, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A load balancer that saw it ready would send people to a host that ends in the next moment."""
    file = tmp_path / "host" / "host.json"
    await redis.call("SET", keys.host("tokens"), "is no hash", "EX", 60)
    opened: list[int] = []
    start = WebServer.start

    async def noted(self: WebServer, *arguments: Any) -> int:
        opened.append(await start(self, *arguments))
        return opened[-1]

    monkeypatch.setattr(WebServer, "start", noted)
    with pytest.raises(CommandRefused, match="WRONGTYPE"):
        await running_host(tmp_path / "host", redis_url, keys.prefix).__aenter__()
    assert opened == []
    assert not file.exists()
