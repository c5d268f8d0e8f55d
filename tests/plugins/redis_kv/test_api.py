"""Keys over HTTP: one command, an export, an import, and who may."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from showground.errors import ShowgroundError
from showground.keys import KeySpace
from showground.testing.host import HostUnderTest, running_host

COUNTER = Path(__file__).parents[2] / "cluster/counter"
HERE = "/api/v1/communities/here/apps/counter/kv"
THERE = "/api/v1/communities/there/apps/counter/kv"
SHARED = "/api/v1/communities/*/apps/counter/kv"


@pytest.fixture
async def host(tmp_path: Path, redis_url: str, keys: KeySpace) -> AsyncIterator[HostUnderTest]:
    async with running_host(tmp_path, redis_url, keys.prefix) as host:
        await host.install(COUNTER, "here")
        await host.install(COUNTER, "there")
        yield host


async def run(host: HostUnderTest, base: str, *command: Any) -> Any:
    return (await host.call("POST", f"{base}/commands", json={"command": command}))["reply"]


async def export(host: HostUnderTest, base: str) -> bytes:
    async with host.client.get(f"{host.host.url}{base}/export") as response:
        assert (response.status, response.content_type) == (200, "application/x-ndjson")
        return await response.read()


FILLING: list[list[Any]] = [
    ["SET", "text", "ü\n"], ["SET", "going", "x", "EX", 100], ["HSET", "hash", "f", "v"], ["RPUSH", "list", "b", "a"],
    ["SADD", "set", "m"], ["ZADD", "zset", "1.5", "m"], ["XADD", "stream", "5-1", "f", "v"],
]  # fmt: skip


async def test_what_is_exported_in_one_community_is_the_same_when_imported_in_another(host: HostUnderTest) -> None:
    for command in FILLING:
        await run(host, HERE, *command)
    await run(host, THERE, "SET", "text", "replaced")
    lines = await export(host, HERE)
    records = {record["key"]: record for record in map(json.loads, lines.splitlines())}
    assert records["list"] == {"key": "list", "type": "list", "value": ["b", "a"]}
    assert records["stream"]["value"] == [["5-1", ["f", "v"]]]
    assert (await host.call("POST", f"{THERE}/import", data=lines)) == {"imported": 7}
    assert sorted((await export(host, THERE)).splitlines()) == sorted(lines.splitlines())
    assert await export(host, SHARED) == b"", "what all communities share is apart"


async def test_an_import_names_the_record_that_is_wrong_and_keeps_those_before_it(host: HostUnderTest) -> None:
    good = {"key": "a", "type": "string", "value": "1"}
    for bad in (
        '{"key": "b"',
        '["b"]',
        '{"key": "b", "type": "module", "value": 1}',
        '{"key": "b", "type": "hash", "value": 1}',
    ):
        body = "\n".join((json.dumps(good), "", bad, json.dumps(good | {"key": "c"})))
        with pytest.raises(ShowgroundError) as caught:
            await host.call("POST", f"{HERE}/import", data=body)
        assert caught.value.kind.fault == "user"
        assert caught.value.where == "record 2", bad
        assert sorted((await run(host, HERE, "SCAN", "0"))[1]) == ["a"]


async def test_replies_of_every_shape_are_json(host: HostUnderTest) -> None:
    for command in FILLING:
        await run(host, HERE, *command)
    assert await run(host, HERE, "GET", "none") is None
    assert await run(host, HERE, "GET", "text") == "ü\n"
    assert await run(host, HERE, "STRLEN", "text") == 3
    assert await run(host, HERE, "HGETALL", "hash") == ["f", "v"]
    assert await run(host, HERE, "XRANGE", "stream", "-", "+") == [["5-1", ["f", "v"]]]
    await run(host, HERE, "BITFIELD", "raw", "SET", "u8", 0, 128)
    assert await run(host, HERE, "GET", "raw") == "\\x80"


async def test_what_is_no_command_or_not_allowed_is_refused(host: HostUnderTest) -> None:
    async def refused(body: str) -> str:
        with pytest.raises(ShowgroundError) as caught:
            await host.call("POST", f"{HERE}/commands", data=body)
        return caught.value.code

    assert await refused("{") == "bad_request"
    for body in ("[]", "{}", '{"command": "GET x"}', '{"command": []}', '{"command": ["GET"]}', '{"command": [1]}'):
        assert await refused(body) in ("invalid", "unknown_command"), body
    assert await refused('{"command": ["FLUSHALL"]}') == "unknown_command"
    await run(host, HERE, "SET", "text", "x")
    assert await refused('{"command": ["LPUSH", "text", "x"]}') == "wrong_type"
    assert await refused('{"command": ["SET", "k", {"a": 1}]}') == "invalid"


async def test_reading_the_usage_is_for_readers_and_the_keys_are_for_admins(host: HostUnderTest) -> None:
    reader = await host.call("POST", "/api/v1/tokens", json={"name": "reader", "scopes": ["read"]})
    headers = {"Authorization": f"Bearer {reader['token']}"}
    assert (await host.call("GET", HERE, headers=headers))["bytes_used"] == 0
    for method, path in (("POST", "commands"), ("GET", "export"), ("POST", "import")):
        with pytest.raises(ShowgroundError) as caught:
            await host.call(method, f"{HERE}/{path}", headers=headers)
        assert caught.value.code == "forbidden"
