"""Hosts as real processes: one is killed in the middle of a change, another one finishes it."""

from __future__ import annotations

import asyncio
import os
import sys
import textwrap
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager

import pytest

from showground.keys import InstallationId, KeySpace
from showground.redis.api import Redis

from .hosts import World, host, lose_lease

COUNTER = InstallationId("counter:playground")

PROGRAM = textwrap.dedent("""
    import asyncio, sys
    from pathlib import Path
    from showground.keys import KeySpace
    from showground.redis.deployment import open_redis
    sys.path.insert(0, {folder!r})
    from hosts import World, host

    url, prefix, task, point = sys.argv[1:]

    async def say(text):
        print(text, flush=True)

    async def main():
        world = World()
        world.upload("1.0.0")

        async def stop_here():
            await say("reached")
            await asyncio.Event().wait()

        async with open_redis(url, Path()) as redis:
            async with host(redis, KeySpace(prefix=prefix), world) as here:
                await say("started")
                if task == "watch":
                    here.installations.on_change(
                        lambda change: print(change.after.version.version if change.after else "gone", flush=True)
                    )
                    await asyncio.Event().wait()
                world.at[point] = stop_here
                await getattr(here.lifecycle, task)("playground", "counter")

    asyncio.run(main())
""")


@asynccontextmanager
async def _process(url: str, keys: KeySpace, task: str, point: str = "-") -> AsyncIterator[asyncio.subprocess.Process]:
    program = PROGRAM.format(folder=os.path.dirname(__file__))
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        *("-c", program, url, keys.prefix, task, point),
        stdout=asyncio.subprocess.PIPE,
        env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)},
    )
    try:
        assert await _line(process) == "started"
        yield process
    finally:
        if process.returncode is None:
            process.kill()
        await process.wait()
        process._transport.close()  # type: ignore[attr-defined]  # 3.11 leaves it to the collector, which warns


async def _line(process: asyncio.subprocess.Process) -> str:
    assert process.stdout is not None
    async with asyncio.timeout(20):
        return (await process.stdout.readline()).decode().strip()


async def test_a_change_on_one_host_is_seen_by_another_process(redis: Redis, redis_url: str, keys: KeySpace) -> None:
    world = World()
    world.upload("1.0.0")
    async with host(redis, keys, world) as here, _process(redis_url, keys, "watch") as there:
        await here.lifecycle.install("playground", "counter")
        assert await _line(there) == "1.0.0"
        world.upload("2.0.0")
        await here.lifecycle.install("playground", "counter")
        assert await _line(there) == "2.0.0"
        await here.lifecycle.rollback("playground", "counter")
        assert await _line(there) == "1.0.0"


@pytest.mark.parametrize(
    ("task", "point", "then"),
    [
        ("install", "installed", ["installed", "AppInstall"]),
        ("install", "AppInstall", ["AppInstall"]),
        ("uninstall", "AppUninstall waits", ["AppUninstall waits", "cleared", "uninstalled"]),
        ("uninstall", "uninstalled", ["cleared", "uninstalled"]),
    ],
)
async def test_what_a_killed_host_left_in_the_middle_another_finishes(
    redis: Redis, redis_url: str, keys: KeySpace, task: str, point: str, then: Sequence[str]
) -> None:
    world = World()
    world.upload("1.0.0")
    async with host(redis, keys, world) as here:
        if task == "uninstall":
            await here.lifecycle.install("playground", "counter")
            world.happened.clear()
        async with _process(redis_url, keys, task, point) as there:
            assert await _line(there) == "reached"
            assert await here.lifecycle.recover() == 0, "its host is alive"
            there.kill()
            await there.wait()
        await lose_lease(redis, keys, COUNTER)
        assert await here.lifecycle.recover() == 1
        assert world.happened == list(then)
        assert (here.installations.get(COUNTER) is not None) == (task == "install")
        assert await here.journal.unfinished() == []
