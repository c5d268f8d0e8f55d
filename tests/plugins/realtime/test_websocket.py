"""The WebSocket endpoint, over real sockets."""

from __future__ import annotations

import asyncio
import json

import pytest
from aiohttp import WSMsgType, WSServerHandshakeError
from tests.plugins.realtime.serving import EVENTS, GOOD_ORIGIN, SHOP, frames, serve

from showground.testing.waiting import eventually


async def test_the_hello_comes_first_and_tells_position_and_limits() -> None:
    async with serve() as host, await host.connect() as socket:
        (hello,) = await frames(socket, 1)
        assert hello["type"] == "hello"
        assert hello["protocol"] == 1
        assert hello["channel"] == f"{SHOP}:events"
        assert hello["position"].endswith(".0")
        assert hello["recovered"] is False
        assert hello["limits"] == {
            "messages_per_s": 100,
            "message_bytes": 1048576,
            "channels": 5,
            "queue_bytes": 1048576,
        }


async def test_every_size_of_message_arrives_in_order_with_its_position() -> None:
    """The sizes lie around where a frame's length field grows (RFC 6455 section 5.2)."""
    overhead = len(b'{"type":"message","position":"0123456789.1","data":""}')
    payloads = [b'"%s"' % (b"x" * (n - overhead)) for n in range(122, 130)]
    payloads += [b'"%s"' % (b"x" * (n - overhead)) for n in (65534, 65535, 65536, 65537, 1_000_000)]
    async with serve() as host, await host.connect() as socket:
        positions = await host.publish(*payloads)
        got = (await frames(socket, 1 + len(payloads)))[1:]
        assert [m["position"] for m in got] == positions
        assert [m["data"].encode() for m in got] == [p.strip(b'"') for p in payloads]


async def test_a_client_that_returns_gets_what_it_missed_after_the_hello() -> None:
    async with serve() as host:
        async with await host.connect() as socket:
            await host.publish(b"1")
            position = (await frames(socket, 2))[1]["position"]
        await host.publish(b"2", b"3")
        async with await host.connect(f"?since={position}") as socket:
            await host.publish(b"4")
            hello, *got = await frames(socket, 4)
            assert hello["recovered"] is True
            assert hello["position"] == position
            assert [m["data"] for m in got] == [2, 3, 4]


async def test_more_than_the_queue_holds_is_not_recovered_in_part() -> None:
    async with serve(queue_bytes=1000) as host:
        first, *_, last = await host.publish(*[b'"%s"' % (b"x" * 400) for _ in range(6)])
        async with await host.connect(f"?since={first}") as socket:
            hello = (await frames(socket, 1))[0]
            assert (hello["recovered"], hello["position"]) == (False, last)
            await host.publish(b"1")
            assert (await frames(socket, 1))[0]["data"] == 1


async def test_a_cleared_channel_is_told_as_a_gap() -> None:
    async with serve() as host, await host.connect() as socket:
        await host.publish(b"1")
        await frames(socket, 2)
        await host.realtime.clear(SHOP)
        (gap,) = await frames(socket, 1)
        assert gap["type"] == "gap"
        (position,) = await host.publish(b"2")
        (message,) = await frames(socket, 1)
        assert (message["data"], message["position"]) == (2, position)
        assert gap["position"].split(".")[0] == position.split(".")[0]


async def open_without_reading(port: int, query: str) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
    """A WebSocket whose owner does not read; its own buffer is small."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port, limit=1024)
    writer.write(
        f"GET {EVENTS}{query} HTTP/1.1\r\nHost: 127.0.0.1\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
        "Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n".encode()
    )
    assert (await reader.readuntil(b"\r\n\r\n")).startswith(b"HTTP/1.1 101")
    return reader, writer


def parse(stream: bytes) -> list[tuple[int, bytes]]:
    """(opcode, payload) of whole unmasked frames."""
    found, at = [], 0
    while at + 2 <= len(stream):
        size, start = stream[at + 1] & 0x7F, at + 2
        if size >= 126:
            width = 2 if size == 126 else 8
            size, start = int.from_bytes(stream[start : start + width], "big"), start + width
        if start + size > len(stream):
            break
        found.append((stream[at] & 0x0F, stream[start : start + size]))
        at = start + size
    return found


async def test_a_reader_that_falls_behind_its_queue_is_cut_and_told_to_return() -> None:
    big = b'"%s"' % (b"x" * 200_000)
    async with serve(messages_per_s=10_000) as host:
        reader, writer = await open_without_reading(host.port, "")
        (slow,) = host.streams._open
        published = 0
        async with await host.connect() as healthy:
            await frames(healthy, 1)
            # More than the kernel and the queue hold; then read at once, because the host does not wait long for its farewell.
            while slow.code is None and published < 80:
                await host.publish(big)
                await frames(healthy, 1)
                published += 1
            received = parse(await reader.read(-1))
        messages = [json.loads(p) for kind, p in received if kind == 1]
        positions = [int(m["position"].split(".")[1]) for m in messages[1:] if m["type"] == "message"]
        assert positions == list(range(1, len(positions) + 1)), "what did arrive has no hole"
        assert len(positions) < published
        kind, payload = received[-1]
        assert kind == 8
        assert int.from_bytes(payload[:2], "big") == 4001
        assert json.loads(payload[2:])["reason"] == "slow_consumer"
        writer.close()


async def test_a_latest_reader_that_falls_behind_gets_the_newest_and_stays() -> None:
    async with serve(messages_per_s=10_000) as host:
        reader, writer = await open_without_reading(host.port, "?policy=latest")
        for n in range(80):
            await host.publish(b'{"n":%d,"fill":"%s"}' % (n, b"x" * 200_000))
            await asyncio.sleep(0)
        stream = b""
        async with asyncio.timeout(20):
            while b'{"n":79,' not in stream[-300_000:]:
                stream += await reader.read(1 << 20)
        await host.publish(b'"after"')
        async with asyncio.timeout(10):
            while b'"after"' not in stream[-300_000:]:
                stream += await reader.read(1 << 20)
        seen = [json.loads(p)["data"]["n"] for kind, p in parse(stream)[1:-1] if kind == 1]
        assert seen == sorted(set(seen))
        assert len(seen) < 80
        assert seen[-1] == 79
        writer.close()


async def test_draining_tells_each_client_when_to_come_back() -> None:
    async with serve() as host:
        sockets = [await host.connect() for _ in range(20)]
        draining = asyncio.ensure_future(host.drain())
        hints = []
        for socket in sockets:
            _, hint = await frames(socket, 2)
            assert hint["type"] == "reconnect"
            hints.append(hint["after_ms"])
            assert (await socket.receive()).type is WSMsgType.CLOSE
            assert socket.close_code == 4000
        await draining
        assert len(set(hints)) > 5, "all come back at the same time"
        with pytest.raises(WSServerHandshakeError) as refused:
            await host.connect()
        assert refused.value.status == 503


async def test_a_client_that_sends_is_closed_for_good() -> None:
    async with serve() as host, await host.connect() as socket:
        await frames(socket, 1)
        await socket.send_str("hi")
        assert (await socket.receive()).type is WSMsgType.CLOSE
        assert socket.close_code == 4500


@pytest.mark.parametrize(
    ("query", "origin", "status"),
    [
        ("", "https://evil.example", 403),
        ("?since=x", GOOD_ORIGIN, 422),
        ("?since=e.-1", GOOD_ORIGIN, 422),
        ("?policy=all", GOOD_ORIGIN, 422),
    ],
)
async def test_a_wrong_request_is_refused_before_the_upgrade(query: str, origin: str, status: int) -> None:
    async with serve() as host:
        with pytest.raises(WSServerHandshakeError) as refused:
            await host.connect(query, Origin=origin)
        assert refused.value.status == status


async def test_a_host_takes_only_as_many_connections_as_it_was_told() -> None:
    async with serve(connections=1) as host:
        async with await host.connect() as socket:
            await frames(socket, 1)
            with pytest.raises(WSServerHandshakeError) as refused:
                await host.connect()
            assert refused.value.status == 503
        async with asyncio.timeout(5):
            while True:
                try:
                    async with await host.connect() as socket:
                        break
                except WSServerHandshakeError:
                    await asyncio.sleep(0)


async def test_a_client_that_answers_no_ping_is_cut() -> None:
    async with serve(heartbeat_s=0.1) as host:
        reader, writer = await open_without_reading(host.port, "")
        async with asyncio.timeout(10):
            received = parse(await reader.read(-1))
        assert 9 in {kind for kind, _ in received}
        await eventually(lambda: len(host.streams) == 0)
        writer.close()
