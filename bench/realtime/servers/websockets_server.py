"""`websockets` with its `broadcast`, on uvloop."""

from __future__ import annotations

import sys
from pathlib import Path

import uvloop
from websockets.asyncio.server import ServerConnection, broadcast, serve

sys.path.insert(0, str(Path(__file__).parent))
from publishing import obey


async def main() -> None:
    connections: set[ServerConnection] = set()

    async def handler(connection: ServerConnection) -> None:
        connections.add(connection)
        try:
            await connection.wait_closed()
        finally:
            connections.discard(connection)

    async with serve(handler, "127.0.0.1", 0, compression=None, backlog=4096) as server:

        async def publish(payloads: list[str]) -> None:
            for payload in payloads:
                broadcast(connections, payload)

        await obey(next(iter(server.sockets)).getsockname()[1], publish)


if __name__ == "__main__":
    uvloop.run(main())
