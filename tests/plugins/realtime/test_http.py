"""Server-sent events, publishing, lists and history over HTTP."""

from __future__ import annotations

import asyncio
import io
from contextlib import suppress
from typing import Any

import pytest
from aiohttp import ClientResponse
from tests.plugins.realtime.serving import EVENTS, SHOP, Client, serve

from showground.capabilities import Position
from showground.testing.clock import ManualClock
from showground.testing.services import services
from showground.testing.waiting import eventually
from showground_realtime.channels import open_memory

CHANNELS = EVENTS.removesuffix("/events")


async def next_event(response: ClientResponse) -> dict[str, str]:
    """The fields of the next event; comments count as an event with the field ``."""
    fields: dict[str, str] = {}
    async with asyncio.timeout(10):
        while line := (await response.content.readline()).decode():
            if line == "\n":
                return fields
            name, _, value = line.rstrip("\n").partition(":")
            fields[name] = fields[name] + "\n" + value.strip() if name in fields else value.strip()
    return fields


async def post(client: Client, data: bytes, name: str = "events") -> tuple[int, Any]:
    async with client.post(f"{CHANNELS}/{name}", data=io.BytesIO(data)) as response:
        return response.status, await response.json()


async def test_events_stream_with_positions_as_ids_and_go_on_from_the_last_one() -> None:
    async with serve() as host:
        async with host.client.get(EVENTS) as response:
            assert response.headers["Content-Type"] == "text/event-stream"
            hello = await next_event(response)
            assert hello["event"] == "hello"
            (position,) = await host.publish(b'{"n": 1}')
            assert await next_event(response) == {"id": position, "event": "message", "data": '{"n": 1}'}
        await host.publish(b"2", b"[3,\r\n4]")
        async with host.client.get(EVENTS, headers={"Last-Event-ID": position}) as response:
            hello = await next_event(response)
            assert hello["id"] == position
            assert '"recovered":true' in hello["data"]
            assert [(await next_event(response))["data"] for _ in range(2)] == ["2", "[3,\n4]"]


async def test_a_silent_stream_shows_signs_of_life() -> None:
    async with serve(heartbeat_s=0.05) as host, host.client.get(EVENTS) as response:
        await next_event(response)
        assert await next_event(response) == {"": ""}
        assert await next_event(response) == {"": ""}


async def test_a_stream_is_ended_on_drain_with_a_time_to_return() -> None:
    async with serve() as host, host.client.get(EVENTS) as response:
        await next_event(response)
        draining = asyncio.ensure_future(host.drain())
        event = await next_event(response)
        assert event["event"] == "reconnect"
        assert event["retry"].isdigit()
        assert await response.content.read() == b""
        await draining


async def test_a_stream_that_is_not_read_is_cut_and_recovers_from_its_last_event() -> None:
    async with serve(messages_per_s=10_000, history_bytes=1 << 26) as host:
        reader, writer = await asyncio.open_connection("127.0.0.1", host.port, limit=1024)
        writer.write(f"GET {EVENTS} HTTP/1.1\r\nHost: x\r\n\r\n".encode())
        await reader.readuntil(b"\r\n\r\n")
        await eventually(lambda: len(host.streams) == 1)
        for _ in range(80):  # more than the kernel and the queue hold
            await host.publish(b'"%s"' % (b"x" * 200_000))
            await asyncio.sleep(0)
        await eventually(lambda: len(host.streams) == 0)
        got = b""
        with suppress(ConnectionError):
            while part := await reader.read(1 << 20):
                got += part
        writer.close()
        last = got[: got.rindex(b"\n\n")].rpartition(b"id: ")[2].partition(b"\n")[0].decode()
        messages, stands = await host.realtime.history(SHOP, "events", Position.parse(last), 1)
        assert stands.recovered
        assert Position.parse(last).offset < stands.position.offset == 80
        assert messages[0].position.offset == Position.parse(last).offset + 1


async def test_old_clients_get_events_without_chunks() -> None:
    async with serve() as host:
        reader, writer = await asyncio.open_connection("127.0.0.1", host.port)
        writer.write(f"GET {EVENTS} HTTP/1.0\r\nHost: x\r\n\r\n".encode())
        head = await reader.readuntil(b"\r\n\r\n")
        assert b"chunked" not in head
        assert (await reader.readline()).startswith(b"id: ")
        writer.close()


async def test_publishing_answers_the_position_and_strips_needless_space() -> None:
    async with serve() as host:
        status, answer = await post(host.client, b'{"a": [1,\n 2]}')
        assert status == 200
        messages, stands = await host.realtime.history(SHOP, "events")
        assert [m.data for m in messages] == [b'{"a":[1,2]}']
        assert answer == {"position": str(stands.position)}


@pytest.mark.parametrize("data", [b"", b"{", b"1 2", b'"\xff"', b"\n\ndata: x"])
async def test_what_is_not_json_is_not_published(data: bytes) -> None:
    async with serve() as host:
        status, answer = await post(host.client, data)
        assert (status, answer["error"]["code"]) == (422, "invalid")
        assert await host.realtime.channels(SHOP) == []


async def test_limits_are_answered_with_their_code_and_when_to_come_back() -> None:
    async with serve(open_memory(services({"messages_per_s": 2}, clock=ManualClock()))) as host:
        status, answer = await post(host.client, b'"%s"' % (b"x" * 1024 * 1024))
        assert (status, answer["error"]["code"]) == (413, "too_large")
        for _ in range(2):
            assert (await post(host.client, b"1"))[0] == 200
        status, answer = await post(host.client, b"1")
        assert (status, answer["error"]["code"]) == (429, "rate_limited")
        assert 0 < answer["error"]["retry_after"] <= 1


async def test_channels_and_history_are_listed() -> None:
    async with serve() as host:
        first, second, third = await host.publish(b"1", b'{"two":2}', b"3")
        async with host.client.get(CHANNELS) as response:
            listed = await response.json()
        assert listed["channels"] == ["events"]
        assert listed["limits"]["messages_per_s"] == 100
        async with host.client.get(f"{EVENTS}/history", params={"since": first, "limit": 1}) as response:
            assert await response.json() == {
                "messages": [{"position": second, "data": {"two": 2}}],
                "position": third,
                "recovered": True,
            }
