"""Export and import on real hosts: what comes in is what went out, whole or not at all, while nothing of the app runs."""

from __future__ import annotations

import io
import json
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any
from uuid import uuid4

import msgspec
import pytest
from tests.runtime.apps.hosts import World, lose_lease
from tests.runtime.apps.hosts import host as lone_host

from showground.apps.records import Step
from showground.capabilities import KEY_VALUE
from showground.clock import SystemClock
from showground.deliveries import RedisDeliveries
from showground.deliveries.shard import Shard
from showground.errors import ShowgroundError
from showground.keys import InstallationId, KeySpace
from showground.redis.api import Redis
from showground.testing.bundles import write_bundle
from showground.testing.host import HostUnderTest, running_host
from showground.testing.viewer import Viewer
from showground.testing.waiting import eventually

HERE = InstallationId("keeper:playground")
YEARLY = "0 3 29 2 *"
"""A plan whose next time does not pass between two exports that are compared."""
CODE = """
import asyncio
from showground import Devvit

Devvit.configure(redis=True)
Devvit.add_settings([
    {"type": "string", "name": "greeting", "label": "Greeting"},
    {"type": "number", "name": "size", "label": "Size", "default_value": 3},
    {"type": "string", "name": "key", "label": "Key", "scope": "app", "is_secret": True},
    {"type": "string", "name": "region", "label": "Region", "scope": "app"},
])

@Devvit.add_scheduler_job("tick")
def tick(event, context):
    pass

@Devvit.add_trigger("PostCreate")
async def plan(event, context):
    await context.scheduler.run_job(name="tick", cron="0 4 29 2 *", key="nightly", data={"n": 1})
    paused = await context.scheduler.run_job(name="tick", cron="0 5 29 2 *")
    await context.redis.set("paused job", paused)
    return paused

began = False

@Devvit.add_trigger("PostDelete")
async def slow(event, context):
    global began
    if began:
        return  # it is tried again after the import
    began = True
    await context.redis.set("slow", "began")
    for _ in range(200):
        await asyncio.sleep(0.02)
        await context.redis.incr("slow writes")
"""
POST = """
from showground.blocks import blocks, text, vstack

@Devvit.add_custom_post_type("Sign")
async def sign(context):
    return blocks(vstack(text(await context.redis.get("text") or "-")))
"""
COMMANDS: tuple[tuple[str | int | bytes, ...], ...] = (
    ("SET", "text", "grüß"),
    ("SET", "bytes", b"\xff\x00\xfe"),
    ("SET", "short", "soon gone", "PX", 600_000),
    ("HSET", "hash", "a", "1", "b", ""),
    ("RPUSH", "list", "x", "y", "x"),
    ("SADD", "set", "one", "two"),
    ("PEXPIRE", "set", 500_000),
    ("ZADD", "zset", "1.5", "m", "-inf", "low", "9007199254740993", "big"),
    ("XADD", "stream", "7-1", "field", "value", "field", "again"),
)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return write_bundle(tmp_path / "keeper", CODE, jobs=[{"name": "tick", "cron": YEARLY}])


@pytest.fixture
async def host(tmp_path: Path, redis_url: str, keys: KeySpace, folder: Path) -> AsyncIterator[HostUnderTest]:
    async with running_host(tmp_path / "host", redis_url, keys.prefix) as host:
        await fill(host, folder)
        yield host


@pytest.fixture
def shard(redis: Redis, keys: KeySpace) -> Shard:
    """Where the deliveries of the app are."""
    return RedisDeliveries(redis, keys, SystemClock()).shards.of(HERE)


def path(what: str, community: str = "playground") -> str:
    return f"/api/v1/communities/{community}/apps/keeper/{what}"


async def fill(host: HostUnderTest, folder: Path) -> None:
    await host.install(folder)
    replies = await host.host.plugins.provider(KEY_VALUE).execute(HERE, COMMANDS)
    assert not [reply for reply in replies if isinstance(reply, Exception)]
    [delivery] = (await host.emit("PostCreate", {"post": {"id": "t3_1", "title": "x"}}))["events"][0]["deliveries"]
    await host.call("POST", path(f"jobs/{delivery['result']}/pause"))
    await host.call("PUT", path("settings"), json={"greeting": "hello", "size": 5})
    await host.call("PUT", "/api/v1/apps/keeper/settings", json={"key": "s3cret"})


async def export(host: HostUnderTest, community: str = "playground", **query: str) -> list[dict[str, Any]]:
    async with host.client.get(host.host.url + path("export", community), params=query) as response:
        assert response.status == 200
        return [json.loads(line) async for line in response.content]


async def load(host: HostUnderTest, records: list[dict[str, Any]], community: str = "playground") -> Any:
    body = b"".join(json.dumps(record).encode() + b"\n" for record in records)
    headers = {"Content-Type": "application/x-ndjson"}
    return await host.call("POST", path("import", community), data=io.BytesIO(body), headers=headers)


def content(records: list[dict[str, Any]]) -> list[str]:
    """What an export holds, in one order, without when and where it was made, and without what a host decides itself."""
    found = []
    for record in records:
        if record["record"] == "installation":
            continue
        if record["record"] == "job":
            record = {**record, "job": {**record["job"], "installation": ""}}
            if record["job"].get("static"):
                record["job"] |= {"id": "", "created_at_ms": 0}
        found.append(json.dumps(record, sort_keys=True))
    return sorted(found)


async def test_what_comes_in_is_what_went_out(host: HostUnderTest) -> None:
    before = await export(host)
    kinds = {r["type"] for r in before if r["record"] == "key"}
    assert kinds == {"string", "hash", "list", "set", "zset", "stream"}
    assert sum("expires_at_ms" in r for r in before) == 2
    kv = host.host.plugins.provider(KEY_VALUE)
    await kv.execute(HERE, [("SET", "text", "changed"), ("SET", "new", "1"), ("DEL", "hash"), ("PERSIST", "set")])
    await host.call("PUT", path("settings"), json={"greeting": None, "size": 1})
    for job in (await host.call("GET", path("jobs")))["jobs"]:
        if not job["static"]:
            await host.call("DELETE", path(f"jobs/{job['id']}"))
    done = await load(host, before)
    assert done == {"installation": HERE, "keys": 9, "jobs": 3, "settings": 2}
    assert content(await export(host)) == content(before)


async def test_another_host_and_community_take_it_over(
    tmp_path: Path, redis_url: str, permanent_keys: list[str], host: HostUnderTest, folder: Path
) -> None:
    exported = await export(host, secrets="1")
    assert exported[0]["secrets"] is True
    async with running_host(tmp_path / "other", redis_url, f"u{uuid4().hex}") as other:
        await other.install(folder, "elsewhere")
        await load(other, exported, "elsewhere")
        assert content(await export(other, "elsewhere", secrets="1")) == content(exported)
        await other.host.lifecycle.uninstall("elsewhere", "keeper")


async def test_secrets_leave_only_when_they_are_asked_for(host: HostUnderTest) -> None:
    assert "s3cret" not in json.dumps(await export(host))
    assert "s3cret" in json.dumps(await export(host, secrets="1"))


async def test_a_file_with_faults_changes_nothing_and_is_told_of_all_of_them(host: HostUnderTest) -> None:
    before = await export(host)
    bad = [*before[:-1]]
    bad[0] = {**bad[0], "app": "another"}
    bad.insert(1, {"record": "setting", "scope": "installation", "name": "colour", "value": 1})
    bad.insert(1, {"record": "setting", "scope": "installation", "name": "size", "value": "large"})
    bad.insert(1, {"record": "key", "key": "k", "type": "hash", "value": ["a"]})
    with pytest.raises(ShowgroundError) as refused:
        await load(host, bad)
    assert refused.value.code == "invalid"
    told = [problem.where for problem in refused.value.details]
    assert told == ["line 1", "line 2: key k", "line 3: setting size", "line 4: setting colour"]
    for part, words in ((before[:-1], "too early"), ([*before[:3], before[-1]], "missing"), ([], "too early")):
        with pytest.raises(ShowgroundError) as refused:
            await load(host, part)
        assert words in refused.value.details[0].message
    assert content(await export(host)) == content(before)


async def test_what_fails_in_the_middle_is_undone(host: HostUnderTest) -> None:
    before = await export(host)
    # Passes the check of shapes; Redis alone knows that a stream's ids grow.
    value = [["5-1", ["f", "v"]], ["4-1", ["f", "v"]]]
    bad = [*before[:-1], {"record": "key", "key": "backwards", "type": "stream", "value": value}]
    bad.append({**before[-1], "keys": before[-1]["keys"] + 1})
    with pytest.raises(ShowgroundError) as refused:
        await load(host, bad)
    assert refused.value.code == "invalid"
    assert content(await export(host)) == content(before)
    assert (await host.emit("PostCreate", {"post": {"id": "t3_1", "title": "x"}}))["events"][0]["deliveries"]


async def test_a_handler_that_still_runs_writes_nothing_into_what_was_imported(
    host: HostUnderTest, redis: Redis, shard: Shard
) -> None:
    before = await export(host)
    kv = host.host.plugins.provider(KEY_VALUE)
    await host.emit("PostDelete", {"postId": "t3_1"}, wait_s=0)

    async def began() -> bool:
        return (await kv.execute(HERE, [("GET", "slow")]))[0] == "began"

    await eventually(began)
    await load(host, before)

    async def ended() -> bool:
        return not await redis.call("EXISTS", shard.key("leases"))

    await eventually(ended)
    names = await kv.execute(HERE, [("EXISTS", "slow", "slow writes"), ("GET", "text")])
    assert names == [0, "grüß"]


async def test_nobody_without_the_scope_admin_gets_or_gives_anything(host: HostUnderTest) -> None:
    made = await host.call("POST", "/api/v1/tokens", json={"name": "d", "scopes": ["read", "deploy"]})
    for method, what in (("GET", "export"), ("POST", "import")):
        headers = {"Authorization": f"Bearer {made['token']}"}
        with pytest.raises(ShowgroundError) as refused:
            await host.call(method, path(what), headers=headers)
        assert refused.value.code == "forbidden"


async def test_what_comes_in_the_middle_of_an_import_is_handled_after_it(
    host: HostUnderTest, redis: Redis, shard: Shard
) -> None:
    async with host.host.lifecycle.suspended("playground", "keeper"):
        answer = await host.emit("PostCreate", {"post": {"id": "t3_9", "title": "x"}}, id="meanwhile", wait_s=0)
        with pytest.raises(ShowgroundError) as refused:
            await host.call("GET", path("export"))
        assert refused.value.code == "not_ready"
        with pytest.raises(ShowgroundError) as refused:
            await host.host.lifecycle.uninstall("playground", "keeper")
        assert refused.value.code == "conflict"
        name = f"{HERE}|{answer['events'][0]['deliveries'][0]['id']}"

        async def is_put_off() -> bool:
            return await redis.call("ZSCORE", shard.key("due"), name) is not None

        await eventually(is_put_off)
    done = await host.emit("PostCreate", {"post": {"id": "t3_9", "title": "x"}}, id="meanwhile", wait_s=20)
    [delivery] = done["events"][0]["deliveries"]
    assert (delivery["status"], delivery["attempts"]) == ("done", 1)


async def test_posts_show_what_was_imported(host: HostUnderTest, folder: Path) -> None:
    write_bundle(folder, CODE + POST, version="2.0.0", jobs=[{"name": "tick", "cron": YEARLY}])
    await host.install(folder)
    before = await export(host)
    async with Viewer(host.host.url, await host.submit_post("keeper")) as viewer:
        await viewer.sees("grüß")
        for record in before:
            if record.get("key") == "text":
                record["value"] = "ciao"
        await load(host, before)
        await viewer.sees("ciao")


async def test_another_host_lets_an_app_run_again_whose_import_was_cut_off(redis: Redis, keys: KeySpace) -> None:
    world = World()
    world.upload("1.0.0")
    async with lone_host(redis, keys, world) as one, lone_host(redis, keys, world) as two:
        made = await one.lifecycle.install("playground", "counter")
        lease = await one.journal.acquire(made.id)
        assert lease.record is not None
        step = Step(kind="import", phase="suspended", installation=made, before=lease.record)
        await one.journal.advance(lease, step, msgspec.structs.replace(lease.record, suspended=True))

        async def suspended() -> bool:
            await two.installations.refresh()
            fault = two.installations.fault(made.id)
            return fault is not None and fault.code == "not_ready"

        await eventually(suspended)
        assert await two.lifecycle.recover() == 0  # its host may still be at work
        await lose_lease(redis, keys, made.id)  # ... and is not
        assert await two.lifecycle.recover() == 1
        assert two.installations.fault(made.id) is None
        assert two.installations.get(made.id) == made
