"""Clients that hold a connection by being slow, at a web server with little patience."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator
from dataclasses import dataclass, field

import pytest
from aiohttp import web

from showground.web.connections import Patience
from showground.web.origins import Origins
from showground.web.server import WebServer


@dataclass
class Slow:
    port: int
    got: list[bytes] = field(default_factory=list)

    async def send(self, *pieces: bytes, every_s: float = 0.0) -> tuple[bytes, float, int]:
        """Send *pieces* one after the other; what came back until the server hung up, how long that took at most, and how many
        of them it had let come."""
        began, sent = time.monotonic(), 0
        reader, writer = await asyncio.open_connection("127.0.0.1", self.port)
        answer = asyncio.ensure_future(heard(reader))
        try:
            for piece in pieces:
                writer.write(piece)
                sent += 1
                await asyncio.wait([answer], timeout=every_s or 0.001)
                if answer.done():
                    break
            async with asyncio.timeout(10):
                return await answer, time.monotonic() - began, sent
        finally:
            answer.cancel()
            await asyncio.gather(answer, return_exceptions=True)
            writer.transport.abort()


async def heard(reader: asyncio.StreamReader) -> bytes:
    """All until the server hangs up; politely, or because more came than it wanted to read."""
    answer = b""
    try:
        while more := await reader.read(65536):
            answer += more
    except ConnectionError:
        pass
    return answer


@pytest.fixture
async def slow() -> AsyncIterator[Slow]:
    async def allow(token: str, scope: str, community: str | None, app: str | None) -> None:
        return None

    patience = Patience(header_s=0.5, body_s=0.5, body_bytes_per_s=1000, read_s=0.5)
    server = WebServer(allow, Origins((), ""), lambda: False, patience)
    client = Slow(0)

    async def take(request: web.Request) -> web.StreamResponse:
        client.got.append(await request.read())
        response = web.Response(text="taken")
        response.force_close()
        return response

    async def give(request: web.Request) -> web.StreamResponse:
        response = web.StreamResponse()
        await response.prepare(request)
        for _ in range(1000):
            await response.write(b"x" * 100_000)
        return response

    async def wait(request: web.Request) -> web.StreamResponse:
        await asyncio.sleep(1.5)
        return await take(request)

    server("POST", "/take", take, None)
    server("POST", "/wait", wait, None)
    server("GET", "/give", give, None)
    client.port = await server.start("127.0.0.1", 0, 1.0)
    yield client
    await server.stop()


HEAD = b"POST /take HTTP/1.1\r\nHost: localhost\r\nContent-Length: 20000\r\n\r\n"


async def test_a_head_that_does_not_end_is_not_waited_for(slow: Slow) -> None:
    for pieces in ([b""], [b"POST /take HT"], [HEAD[:-2], *[b"X-a: b\r\n"] * 100], [b"\r\n"] * 100):
        _, took, sent = await slow.send(*pieces, every_s=0.05)
        assert took > 0.4
        assert sent < 90
    assert slow.got == []


async def test_the_next_head_on_a_connection_is_not_waited_for_either(slow: Slow) -> None:
    whole = b"POST /none HTTP/1.1\r\nHost: localhost\r\nContent-Length: 0\r\n\r\n"
    answer, took, sent = await slow.send(whole, whole + b"GET / HTTP/1.1\r\n", *[b"X-a: b\r\n"] * 100, every_s=0.05)
    assert answer.count(b" 404 ") == 2
    assert took > 0.4
    assert sent < 90


async def test_a_body_that_drips_is_answered_with_what_is_wrong(slow: Slow) -> None:
    answer, _, sent = await slow.send(HEAD, *[b"x"] * 200, every_s=0.05)
    assert b" 408 " in answer
    assert b"too slowly" in answer
    assert sent < 100
    assert slow.got == []


async def test_a_body_in_chunks_that_drips_is_refused_too(slow: Slow) -> None:
    head = b"POST /take HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n\r\n"
    answer, _, _ = await slow.send(head, *[b"1\r\nx\r\n"] * 200, every_s=0.05)
    assert b" 408 " in answer


async def test_a_body_that_comes_steadily_has_the_time_that_it_needs(slow: Slow) -> None:
    answer, took, _ = await slow.send(HEAD + b"x" * 1000, *[b"x" * 200] * 95, every_s=0.02)
    assert b" 200 " in answer
    assert took > 1
    assert len(slow.got[0]) == 20_000


async def test_a_body_that_we_do_not_read_is_not_the_clients_fault(slow: Slow) -> None:
    size = 4_000_000
    head = b"POST /wait HTTP/1.1\r\nHost: localhost\r\nContent-Length: %d\r\n\r\n" % size
    answer, _, _ = await slow.send(head + b"x" * size)
    assert b" 200 " in answer
    assert len(slow.got[0]) == size


async def test_an_answer_that_nobody_reads_is_not_kept(slow: Slow) -> None:
    _, writer = await asyncio.open_connection("127.0.0.1", slow.port, limit=1)
    writer.transport.pause_reading()  # type: ignore[attr-defined]  # a transport for both ways
    writer.write(b"GET /give HTTP/1.1\r\nHost: localhost\r\n\r\n")
    async with asyncio.timeout(10):
        while True:
            writer.write(b"\r\n")  # fails once the server has hung up
            try:
                await writer.drain()
                await asyncio.sleep(0.05)
            except ConnectionError:
                break
            if writer.transport.is_closing():
                break
    writer.transport.abort()
