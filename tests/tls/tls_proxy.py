"""TLS in front of a server that speaks none (the wheel's does not): the client's side is as real as with any other."""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from showground.tasks import Tasks


@asynccontextmanager
async def tls_before(port: int, context: ssl.SSLContext, listen: int = 0) -> AsyncIterator[int]:
    """Take TLS on a port of loopback (*listen*, or a free one, which is given) and pass it on to *port*."""
    open_ends: set[asyncio.StreamWriter] = set()

    async def copy(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while data := await reader.read(65536):
                writer.write(data)
                await writer.drain()
        except OSError:
            pass
        finally:
            writer.close()

    async with Tasks() as tasks:

        async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            inner_reader, inner_writer = await asyncio.open_connection("127.0.0.1", port)
            open_ends.update((writer, inner_writer))
            tasks.start("to the server", copy(reader, inner_writer))
            tasks.start("to the client", copy(inner_reader, writer))

        server = await asyncio.start_server(serve, "127.0.0.1", listen, ssl=context)
        try:
            yield server.sockets[0].getsockname()[1]
        finally:
            server.close()
            for writer in open_ends:
                writer.transport.abort()
            await asyncio.sleep(0.01)  # aborted TLS transports close in the turns that follow
