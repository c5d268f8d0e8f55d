"""`backup` and `restore` of whole deployments, with the embedded server and with an external one, by real commands."""

from __future__ import annotations

import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest
from tests.runtime.cli.processes import Ended, run, running

from showground.capabilities import KEY_VALUE
from showground.keys import InstallationId, KeySpace
from showground.redis.api import Redis
from showground.testing.host import HostUnderTest, running_host

APP = InstallationId("counter-trigger:playground")
FOLDER = Path(__file__).parents[3] / "apps" / "counter_trigger"


async def dumps(redis: Redis, prefix: str) -> Mapping[str, tuple[bytes, int]]:
    """Every key with its dump and its expiry, without what is gone within a minute: notes that hosts leave each other."""
    found = {}
    soon = (time.time() + 60) * 1000
    async for name in redis.scan(f"{prefix}:*"):
        key = bytes(name).decode().removeprefix(f"{prefix}:")
        expiry = await redis.call("PEXPIRETIME", name)
        if expiry == -1 or expiry > soon:
            found[key] = (await redis.call("DUMP", name), expiry)
    return found


async def fill(host: HostUnderTest) -> None:
    await host.install(FOLDER)
    await host.emit("PostCreate", {"post": {"id": "t3_1", "title": "x"}}, id="one")
    await host.call("POST", "/api/v1/tokens", json={"name": "ci", "scopes": ["read"]})
    kv = host.host.plugins.provider(KEY_VALUE)
    await kv.execute(APP, [("SET", "passing", "1", "PX", 3_000_000), ("HSET", "hash", "f", b"\xff\x00")])


async def command(name: str, file: Path, redis_url: str, prefix: str, data_dir: Path, *more: str) -> Ended:
    arguments = (name, str(file), "--redis-url", redis_url, "--data-dir", str(data_dir), *more, "--json")
    return await run(*arguments, SHOWGROUND_REDIS_PREFIX=prefix)


@pytest.fixture
async def other_keys(redis: Redis) -> Any:
    prefix = f"u{uuid4().hex[:12]}"
    yield KeySpace(prefix)
    async for name in redis.scan(f"{prefix}:*"):
        await redis.call("UNLINK", name)


async def test_every_key_comes_back_as_it_was_and_a_host_serves_it(
    tmp_path: Path, redis: Redis, redis_url: str, keys: KeySpace, other_keys: KeySpace
) -> None:
    async with running_host(tmp_path / "host", redis_url, keys.prefix) as host:
        await fill(host)
    before = await dumps(redis, keys.prefix)
    file = tmp_path / "deployment.backup"
    made = await command("backup", file, redis_url, keys.prefix, tmp_path / "host")
    assert (made.code, made.json["keys"] >= len(before) > 10) == (0, True), made.err
    assert file.stat().st_mode & 0o777 == 0o600
    assert await dumps(redis, keys.prefix) == before

    done = await command("restore", file, redis_url, other_keys.prefix, tmp_path / "host")
    assert (done.code, done.json["keys"] >= len(before)) == (0, True), done.err
    assert await dumps(redis, other_keys.prefix) == before

    async with running_host(tmp_path / "host", redis_url, other_keys.prefix) as host:
        [delivery] = (await host.emit("PostCreate", {"post": {"id": "t3_2", "title": "x"}}, id="two"))["events"][0][
            "deliveries"
        ]
        assert delivery["result"] == 2
        assert {t["name"] for t in (await host.call("GET", "/api/v1/tokens"))["tokens"]} >= {"ci"}


async def test_while_a_host_runs_neither_is_done(tmp_path: Path, redis: Redis, redis_url: str, keys: KeySpace) -> None:
    async with running_host(tmp_path / "host", redis_url, keys.prefix) as host:
        await host.install(FOLDER)
        file = tmp_path / "file"
        for name, more in (("backup", ()), ("restore", ("--force",))):
            if name == "restore":
                live = await command("backup", file, redis_url, keys.prefix, tmp_path / "host", "--while-running")
                assert live.code == 0, live.err
            refused = await command(name, file, redis_url, keys.prefix, tmp_path / "host", *more)
            assert refused.code == 1
            assert "run" in refused.json["error"]["message"]
            assert refused.json["error"]["code"] == "conflict"
        assert (await host.emit("PostCreate", {"post": {"id": "t3_1", "title": "x"}}))["events"][0]["deliveries"]
    assert await redis.call("EXISTS", keys.host("maintenance")) == 0


async def test_a_deployment_that_is_not_empty_is_left_alone_unless_forced(
    tmp_path: Path, redis: Redis, redis_url: str, keys: KeySpace
) -> None:
    async with running_host(tmp_path / "host", redis_url, keys.prefix) as host:
        await fill(host)
    before = await dumps(redis, keys.prefix)
    file = tmp_path / "file"
    await command("backup", file, redis_url, keys.prefix, tmp_path / "host")
    await redis.call("SET", keys.host("bundle", "later"), "new", "EX", 600)
    refused = await command("restore", file, redis_url, keys.prefix, tmp_path / "host")
    assert (refused.code, refused.json["error"]["code"]) == (1, "conflict")
    assert "bundle:later" in await dumps(redis, keys.prefix)
    assert (await command("restore", file, redis_url, keys.prefix, tmp_path / "host", "--force")).code == 0
    assert await dumps(redis, keys.prefix) == before


@pytest.mark.parametrize("damage", ["cut", "flipped", "longer", "nothing"])
async def test_a_damaged_file_changes_nothing(
    tmp_path: Path, redis: Redis, redis_url: str, keys: KeySpace, damage: str
) -> None:
    await redis.call("SET", keys.host("apps"), "here")
    file = tmp_path / "file"
    assert (await command("backup", file, redis_url, keys.prefix, tmp_path)).code == 0
    sound = file.read_bytes()
    bad = {"cut": sound[:-40], "flipped": sound[:-50] + b"\x00" + sound[-49:], "longer": sound + b"x", "nothing": b""}
    file.write_bytes(bad[damage])
    refused = await command("restore", file, redis_url, keys.prefix, tmp_path, "--force")
    assert (refused.code, refused.json["error"]["code"]) == (1, "invalid")
    assert await redis.call("GET", keys.host("apps")) == b"here"


async def test_no_host_starts_on_half_a_restore(tmp_path: Path, redis: Redis, redis_url: str, keys: KeySpace) -> None:
    await redis.call("SET", keys.host("apps"), "here", "EX", 60)
    file = tmp_path / "file"
    await command("backup", file, redis_url, keys.prefix, tmp_path)
    await redis.call("SET", keys.host("maintenance"), "a restore")  # its process was killed
    starting = ("serve", "--port", "0", "--redis-url", redis_url, "--data-dir", str(tmp_path))
    refused = await run(*starting, "--json", SHOWGROUND_REDIS_PREFIX=keys.prefix)
    assert refused.code == 1
    assert refused.json["error"]["code"] == "not_ready"
    assert (await command("restore", file, redis_url, keys.prefix, tmp_path, "--force")).code == 0
    assert await redis.call("EXISTS", keys.host("maintenance")) == 0


async def test_the_embedded_server_is_backed_up_when_its_host_is_stopped(tmp_path: Path) -> None:
    first, second, file = tmp_path / "first", tmp_path / "second", tmp_path / "file"
    serving = ("serve", "--port", "0", "--isolation", "process", "--data-dir")
    async with running(*serving, str(first)) as host:
        await host.says("ready at")
        assert (await run("upload", str(FOLDER), "--data-dir", str(first))).code == 0
        assert (await run("install", "playground", "counter-trigger", "--data-dir", str(first))).code == 0
        refused = await run("backup", str(file), "--data-dir", str(first), "--json")
        assert (refused.code, "another host" in refused.json["error"]["message"]) == (1, True)
        assert await host.stop() == 0
    assert (await run("backup", str(file), "--data-dir", str(first))).code == 0
    assert (await run("restore", str(file), "--data-dir", str(second))).code == 0
    (second / "secret.key").write_bytes((first / "secret.key").read_bytes())
    async with running(*serving, str(second)) as host:
        await host.says("ready at")
        listed = await run("list", "playground", "--data-dir", str(second), "--json")
        assert [i["app"] for i in listed.json["installations"]] == ["counter-trigger"]
        assert await host.stop() == 0


async def test_a_folder_without_data_is_no_deployment(tmp_path: Path) -> None:
    refused = await run("backup", str(tmp_path / "file"), "--data-dir", str(tmp_path / "nothing"), "--json")
    assert (refused.code, refused.json["error"]["code"]) == (1, "not_found")
    assert not (tmp_path / "nothing").exists()
