"""Scripts and styles: one page gets those of one build, whichever host it asks, also while hosts are upgraded."""

from __future__ import annotations

import re
from collections.abc import AsyncIterator
from pathlib import Path

import aiohttp
import pytest

from showground.keys import KeySpace
from showground.redis.api import Redis
from showground.testing.host import HostUnderTest, running_host
from showground.testing.waiting import eventually

OTHER = "0123456789abcdef"


@pytest.fixture
async def host(tmp_path: Path, redis_url: str, keys: KeySpace) -> AsyncIterator[HostUnderTest]:
    async with running_host(tmp_path, redis_url, keys.prefix) as host:
        yield host


async def got(host: HostUnderTest, path: str, **headers: str) -> tuple[aiohttp.ClientResponse, str]:
    async with host.client.get(host.host.url + path, headers=headers) as response:
        return response, await response.text()


async def build(host: HostUnderTest) -> str:
    _, entry = await got(host, "/static/client.js")
    found: str
    [found] = set(re.findall(r"/static/v-([0-9a-f]{16})/", entry))
    return found


async def test_a_file_of_a_build_is_kept_for_good_and_one_without_is_asked_about(host: HostUnderTest) -> None:
    response, _ = await got(host, "/static/embed.js")
    assert response.headers["Cache-Control"] == "no-cache"
    assert response.headers["X-Content-Type-Options"] == "nosniff"
    response, _ = await got(host, "/static/embed.js", **{"If-None-Match": response.headers["ETag"]})
    assert response.status == 304
    response, _ = await got(host, f"/static/v-{await build(host)}/embed.js")
    assert "immutable" in response.headers["Cache-Control"]


async def test_whatever_an_entry_without_a_build_loads_is_of_one_build(host: HostUnderTest) -> None:
    ours = f"/static/v-{await build(host)}/"
    for name in ("client.js", "client.css"):
        _, entry = await got(host, f"/static/{name}")
        loaded = re.findall(r"""(?:\bfrom |\bimport |import\(|url\()"([^"]+)""", entry)
        assert loaded
        for address in loaded:
            assert address.startswith(ours)
            response, text = await got(host, address)
            assert response.status == 200
            assert not re.search(r"""\bfrom "/""", text)  # and so on, relatively


async def test_a_page_of_another_version_gets_that_versions_files_from_any_host(
    host: HostUnderTest, redis: Redis, keys: KeySpace
) -> None:
    await redis.call("HSET", keys.host("static", OTHER), "view.js", "export const other = 1;", "PX", "")
    await redis.call("EXPIRE", keys.host("static", OTHER), 60)
    response, text = await got(host, f"/static/v-{OTHER}/view.js")
    assert text == "export const other = 1;"
    assert "immutable" in response.headers["Cache-Control"]
    assert response.content_type == "text/javascript"
    for nothing in ("nothing.js", "PX"):
        response, _ = await got(host, f"/static/v-{OTHER}/{nothing}")
        assert response.status == 404

    # a build that nobody knows any more: ours, and all that it loads, under the same address, but not for good
    response, text = await got(host, "/static/v-ffffffffffffffff/view.js")
    assert 'from "./connection.js"' in text
    assert response.headers["Cache-Control"] == "no-cache"


async def test_a_host_leaves_its_files_for_the_others(host: HostUnderTest, redis: Redis, keys: KeySpace) -> None:
    key = keys.host("static", await build(host))
    await eventually(lambda: redis.call("HEXISTS", key, "view.js"))
    assert 0 < int(await redis.call("TTL", key)) <= 86_400
    _, served = await got(host, f"/static/v-{await build(host)}/view.js")
    assert bytes(await redis.call("HGET", key, "view.js")).decode() == served
