"""python-socketio on aiohttp and uvloop, as its documentation shows it."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import socketio
import uvloop
from aiohttp import web

sys.path.insert(0, str(Path(__file__).parent))
from publishing import obey


async def main() -> None:
    server = socketio.AsyncServer(async_mode="aiohttp", cors_allowed_origins="*")
    app = web.Application()
    server.attach(app)
    runner = web.AppRunner(app, access_log=None)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0, backlog=4096)
    await site.start()

    async def publish(payloads: list[str]) -> None:
        for payload in payloads:
            await server.emit("m", json.loads(payload))

    await obey(runner.addresses[0][1], publish)


if __name__ == "__main__":
    uvloop.run(main())
