"""A host among more clients than it may have open files: it says so, and goes on with those it has."""

from __future__ import annotations

import asyncio
import json
import shutil
import sys
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path

import aiohttp
import pytest
from tests.runtime.cli.processes import environment

from showground.keys import KeySpace
from showground.testing.host import running_host
from showground.testing.viewer import NotSeen, Viewer

TALLY = Path(__file__).parents[1] / "views" / "tally"
LIMIT = 400
SERVE = """
import resource, sys
resource.setrlimit(resource.RLIMIT_NOFILE, ({soft}, {hard}))
from showground.cli import main
sys.argv = ["showground", "serve", "--port", "0", *sys.argv[1:]]
main()
"""


@asynccontextmanager
async def served(
    data_dir: Path, redis_url: str, prefix: str, *, soft: int, hard: int
) -> AsyncIterator[tuple[str, int]]:
    """A host under these limits of open files: (its address, its process id)."""
    source = SERVE.format(soft=soft, hard=hard)
    command = (sys.executable, "-c", source, "--data-dir", str(data_dir), "--redis-url", redis_url)
    env = environment(SHOWGROUND_REDIS_PREFIX=prefix, SHOWGROUND_WORKERS_ISOLATION="process")
    process = await asyncio.create_subprocess_exec(*command, env=env, stderr=asyncio.subprocess.PIPE)
    try:
        assert process.stderr is not None
        async with asyncio.timeout(30):
            async for line in process.stderr:
                if b"ready at" in line:
                    break
        yield json.loads((data_dir / "host.json").read_text())["url"], process.pid
    finally:
        if process.returncode is None:
            process.kill()
        await process.communicate()


@pytest.fixture
async def post(tmp_path: Path, redis_url: str, keys: KeySpace) -> str:
    """A live post, made by another host, whose key the one under test will share."""
    async with running_host(tmp_path / "other", redis_url, keys.prefix) as host:
        await host.install(TALLY)
        (tmp_path / "host").mkdir()
        shutil.copy(tmp_path / "other" / "secret.key", tmp_path / "host")
        return await host.submit_post("tally")


async def test_viewers_beyond_the_limit_are_told_and_the_others_go_on(
    tmp_path: Path, redis_url: str, keys: KeySpace, post: str
) -> None:
    async with (
        served(tmp_path / "host", redis_url, keys.prefix, soft=LIMIT, hard=LIMIT) as (url, _),
        AsyncExitStack() as stack,
    ):
        room = LIMIT - 2 * (LIMIT // 4)
        viewers = [await stack.enter_async_context(Viewer(url, post)) for _ in range(room)]
        late = Viewer(url, post)
        stack.push_async_callback(late.close)
        with pytest.raises(NotSeen, match="overloaded"):
            await late.connect()
        await viewers[0].press("Add own")
        await viewers[0].sees("own 1")

        client = await stack.enter_async_context(aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=0)))
        idle = [await asyncio.open_connection("127.0.0.1", int(url.rpartition(":")[2])) for _ in range(LIMIT // 4 + 20)]
        reader, _ = idle[-1]
        assert b" 503 " in await reader.readline()
        assert b"retry-after" in (await reader.read()).lower()
        for _, writer in idle:
            writer.close()
        async with client.get(url + "/healthz") as answer:
            assert answer.status == 200
        await viewers[1].close()
        late.errors.clear()
        await late.connect()


async def test_a_host_takes_as_many_as_it_is_allowed_and_not_what_a_shell_begins_with(
    tmp_path: Path, redis_url: str, keys: KeySpace
) -> None:
    async with served(tmp_path / "host", redis_url, keys.prefix, soft=256, hard=2000) as (_, pid):
        limits = await asyncio.to_thread(Path(f"/proc/{pid}/limits").read_text)
        [line] = [line for line in limits.splitlines() if line.startswith("Max open files")]
        assert line.split()[3:5] == ["2000", "2000"]
