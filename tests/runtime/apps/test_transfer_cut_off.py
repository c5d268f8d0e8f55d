"""An import whose host is killed, frozen or fails in the middle: afterwards there is what was there before, and nothing else."""

from __future__ import annotations

import asyncio
import io
import json
import shutil
from collections.abc import AsyncIterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import aiohttp
import pytest
from tests.runtime.apps.hosts import lose_lease
from tests.runtime.apps.test_transfer import CODE, HERE, YEARLY, content, export, fill, load, path
from tests.runtime.cli.processes import running

from showground.apps.settings import AppSettings
from showground.capabilities import KEY_VALUE
from showground.errors import ShowgroundError
from showground.keys import KeySpace
from showground.redis.api import Redis
from showground.testing.bundles import write_bundle
from showground.testing.host import HostUnderTest, running_host
from showground.testing.waiting import eventually

MANY = 2_000
STOPS_IN_THE_MIDDLE = """
import asyncio, sys
from showground_redis_kv.redis import RedisKeyValue
from showground.cli import main

load = RedisKeyValue.load

async def until(self, scope, record):
    if record["key"] == "new-1000":
        await asyncio.Event().wait()
    await load(self, scope, record)

RedisKeyValue.load = until
sys.argv[0] = "showground"
main()
"""


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return write_bundle(tmp_path / "keeper", CODE, jobs=[{"name": "tick", "cron": YEARLY}])


@pytest.fixture
async def host(tmp_path: Path, redis_url: str, keys: KeySpace, folder: Path) -> AsyncIterator[HostUnderTest]:
    async with running_host(tmp_path / "host", redis_url, keys.prefix) as host:
        await fill(host, folder)
        yield host


def other(records: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """An export like *records* whose keys are many others, and which brings a value for all installations of the app."""
    header, *rest = (record for record in records if record["record"] not in ("key", "end", "job"))
    shared = {"record": "setting", "scope": "app", "name": "region", "value": "north"}
    new = [{"record": "key", "key": f"new-{n}", "type": "string", "value": "x" * 200} for n in range(MANY)]
    return [header, *rest, shared, *new, {"record": "end", "settings": len(rest) + 1, "jobs": 0, "keys": MANY}]


async def kept(redis: Redis, keys: KeySpace) -> list[bytes]:
    return [key async for key in redis.scan(keys.of(HERE, "kept", "*"))]


async def written(host: HostUnderTest) -> int:
    """How many of the new keys are there, whether or not the app is suspended."""
    replies = await host.host.plugins.provider(KEY_VALUE).execute(
        HERE, [("EXISTS", *(f"new-{n}" for n in range(MANY)))]
    )
    assert isinstance(replies[0], int)
    return replies[0]


async def recovered(host: HostUnderTest) -> None:
    """Once what another host left is put back, by this call or by what the host does every few seconds itself."""
    await host.host.lifecycle.recover()
    await eventually(lambda: host.host.lifecycle._installations.fault(HERE) is None)


async def test_a_host_that_is_killed_in_the_middle_leaves_what_was_there_before(
    tmp_path: Path, redis: Redis, redis_url: str, keys: KeySpace, host: HostUnderTest
) -> None:
    before = await export(host)
    body = b"".join(json.dumps(record).encode() + b"\n" for record in other(before))
    (tmp_path / "second").mkdir()
    shutil.copy(tmp_path / "host" / "secret.key", tmp_path / "second")
    arguments = ("serve", "--port", "0", "--data-dir", str(tmp_path / "second"), "--redis-url", redis_url)
    async with running(*arguments, source=STOPS_IN_THE_MIDDLE, SHOWGROUND_REDIS_PREFIX=keys.prefix) as second:
        await second.says("ready at")
        url = json.loads((tmp_path / "second" / "host.json").read_text())["url"]

        async def ask() -> None:
            headers = {"Authorization": f"Bearer {host.host.root_token}", "Content-Type": "application/x-ndjson"}
            with suppress(aiohttp.ClientError):
                async with aiohttp.ClientSession(headers=headers) as client:
                    await (await client.post(url + path("import"), data=io.BytesIO(body))).read()

        async def in_the_middle() -> bool:
            return await written(host) == 1000

        asking = asyncio.create_task(ask())
        await eventually(in_the_middle)
        second.process.kill()
        await second.process.wait()
        await asking
    assert await written(host) == 1000
    with pytest.raises(ShowgroundError) as refused:  # nobody sees a part
        await host.call("GET", path("export"))
    assert refused.value.code == "not_ready"

    await lose_lease(redis, keys, HERE)
    await recovered(host)
    assert content(await export(host)) == content(before)
    assert await kept(redis, keys) == []
    assert (await host.emit("PostCreate", {"post": {"id": "t3_2", "title": "x"}}))["events"][0]["deliveries"]


async def test_a_host_that_was_frozen_adds_nothing_to_what_another_has_put_back(
    redis: Redis, keys: KeySpace, host: HostUnderTest, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = await export(host)
    kv = host.host.plugins.provider(KEY_VALUE)
    real, late = type(kv).load, 0.0
    host.host.lifecycle._journal._lease_s = 1000  # it is not renewed by itself: its host stands still

    async def load_slowly(self: Any, scope: str, record: Any) -> None:
        nonlocal late
        await real(self, scope, record)
        if record["key"] == "new-100":
            await lose_lease(redis, keys, HERE)
            await recovered(host)  # as another host would
            assert content(await export(host)) == content(before)
            late = 10_000.0  # seconds have passed

    monotonic = host.host.lifecycle._journal._clock.monotonic
    monkeypatch.setattr(host.host.lifecycle._journal._clock, "monotonic", lambda: monotonic() + late)
    monkeypatch.setattr(type(kv), "load", load_slowly)
    with pytest.raises(ShowgroundError) as refused:
        await load(host, other(before))
    assert refused.value.code == "conflict"
    assert content(await export(host)) == content(before)
    assert await kept(redis, keys) == []


@pytest.mark.parametrize("fails", ["fill", "load", "fresh"])
async def test_wherever_it_fails_app_wide_settings_are_as_before_too(
    redis: Redis, keys: KeySpace, host: HostUnderTest, monkeypatch: pytest.MonkeyPatch, fails: str
) -> None:
    before = await export(host)
    shown = await host.call("GET", "/api/v1/apps/keeper/settings")
    real = getattr(AppSettings, fails)
    tries = 0

    async def fail(self: AppSettings, *given: Any) -> Any:
        nonlocal tries
        tries += 1
        done = await real(self, *given)
        if tries == 1:
            raise ShowgroundError("store_unavailable", "the connection is gone")
        return done

    monkeypatch.setattr(AppSettings, fails, fail)
    with pytest.raises(ShowgroundError, match="gone"):
        await load(host, other(before))
    assert content(await export(host)) == content(before)
    assert await host.call("GET", "/api/v1/apps/keeper/settings") == shown
    assert await kept(redis, keys) == []
    await load(host, other(before))
    assert await written(host) == MANY
    assert await kept(redis, keys) == []
