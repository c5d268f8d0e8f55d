"""The line between a host and Redis: passed on in order, slowed, cut and mended."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from chaos.proxy import Proxy
from showground.errors import ShowgroundError
from showground.redis.deployment import open_redis
from showground.testing.redis import running_server


async def test_a_line_passes_slows_breaks_and_comes_back(tmp_path: Path) -> None:
    with running_server(tmp_path) as server:
        async with Proxy(server.socket) as proxy:
            url = f"redis://:{server.password}@127.0.0.1:{proxy.port}"
            async with open_redis(url, tmp_path) as redis:
                assert await redis.call("ECHO", "there") == b"there"
                proxy.delay_s = 0.2
                started = asyncio.get_running_loop().time()
                assert await redis.call("ECHO", "late") == b"late"
                assert asyncio.get_running_loop().time() - started > 0.35  # there and back
                proxy.delay_s = 0.0
                proxy.cut()
                with pytest.raises(ShowgroundError) as caught:
                    await redis.call("ECHO", "lost")
                assert caught.value.code == "store_unavailable"
                proxy.mend()
                assert await redis.call("ECHO", "again") == b"again"
