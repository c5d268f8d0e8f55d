"""A TCP proxy between one host and Redis, whose line can be cut and slowed."""

from __future__ import annotations

import asyncio
from pathlib import Path
from types import TracebackType
from typing import Self

CHUNK = 64 * 1024


class Proxy:
    """Listens on a free port of 127.0.0.1 and passes bytes to a Unix socket. Use as an async context manager.

    `cut()` drops every connection without a word and refuses new ones until `mend()`; while `delay_s` is set, each piece waits
    that long on its way, in order.
    """

    def __init__(self, upstream: Path) -> None:
        self._upstream = upstream
        self._server: asyncio.Server | None = None
        self._lines: set[asyncio.StreamWriter] = set()
        self._pumps: set[asyncio.Task[None]] = set()
        self._is_cut = False
        self.delay_s = 0.0
        self.port = 0

    async def __aenter__(self) -> Self:
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", 0)
        self.port = self._server.sockets[0].getsockname()[1]
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        assert self._server is not None
        self._server.close()
        self.cut()
        for pump in tuple(self._pumps):
            pump.cancel()
        await asyncio.gather(*self._pumps, return_exceptions=True)

    def cut(self) -> None:
        self._is_cut = True
        for line in tuple(self._lines):
            line.transport.abort()

    def mend(self) -> None:
        self._is_cut = False

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._pumps.add(task)
        self._lines.add(writer)
        upstream: asyncio.StreamWriter | None = None
        try:
            if self._is_cut:
                return
            source, upstream = await asyncio.open_unix_connection(self._upstream)
            self._lines.add(upstream)
            done, rest = await asyncio.wait(
                [
                    asyncio.create_task(self._pump(reader, upstream), name="proxy: to Redis"),
                    asyncio.create_task(self._pump(source, writer), name="proxy: from Redis"),
                ],
                return_when=asyncio.FIRST_COMPLETED,
            )
            for pump in rest:
                pump.cancel()
            await asyncio.gather(*done, *rest, return_exceptions=True)
        except OSError:
            pass  # Redis is away, or the line was cut: the host sees a lost connection, which is the point
        except asyncio.CancelledError:
            pass
        finally:
            for line in (writer, upstream):
                if line is not None:
                    line.transport.abort()
                    self._lines.discard(line)
            self._pumps.discard(task)

    async def _pump(self, source: asyncio.StreamReader, sink: asyncio.StreamWriter) -> None:
        while data := await source.read(CHUNK):
            if self.delay_s:
                await asyncio.sleep(self.delay_s)
            sink.write(data)
            await sink.drain()
