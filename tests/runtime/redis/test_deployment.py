"""Servers that an operator names by URL."""

from __future__ import annotations

import shutil
import socket
from collections.abc import Iterator
from pathlib import Path

import pytest

from showground.errors import ShowgroundError
from showground.redis.api import Script
from showground.redis.deployment import open_redis
from showground.redis.server import ServerProcess, find_binary


def servers() -> list[Path]:
    """The embedded one and, where it is installed, the distribution's Redis as a second implementation."""
    other = shutil.which("redis-server")
    return [find_binary(), *([Path(other)] if other else [])]


@pytest.fixture(params=servers(), ids=lambda path: path.name)
def server(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[tuple[ServerProcess, int]]:
    with socket.create_server(("127.0.0.1", 0)) as probe:
        port = probe.getsockname()[1]
    process = ServerProcess(tmp_path, binary=request.param, config={"port": str(port), "bind": "127.0.0.1"})
    try:
        process.start()
        process.wait_ready(30)
        yield process, port
    finally:
        process.close()


async def test_an_acl_user_works_by_tcp(server: tuple[ServerProcess, int]) -> None:
    process, port = server
    async with open_redis(process.url, Path()) as admin:
        await admin.call("ACL", "SETUSER", "app", "on", ">p@ss", "~sg:*", "&*", "+@all", "-@admin")
    async with open_redis(f"redis://app:p%40ss@127.0.0.1:{port}/0", Path()) as redis:
        assert await redis.run(Script("return redis.call('INCR', KEYS[1])"), ["sg:n"]) == 1
    with pytest.raises(ShowgroundError) as caught:
        async with open_redis(f"redis://app:wrong@127.0.0.1:{port}", Path()):
            pass
    assert caught.value.code == "misconfigured"
