"""Clients that are gone before they are answered, on the event loop that hosts use."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Coroutine

import pytest
import uvloop
from aiohttp.test_utils import make_mocked_request

from showground.web.errors import failure, has_gone
from showground.web.live import SocketConnection
from showground.websocket import Frames


def on_uvloop(test: Callable[[], Coroutine[None, None, None]]) -> None:
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(test())


async def gone() -> asyncio.Transport:
    """A transport whose other side hung up, and which was closed."""
    loop = asyncio.get_running_loop()
    server = await loop.create_server(asyncio.Protocol, "127.0.0.1", 0)
    transport, _ = await loop.create_connection(asyncio.Protocol, *server.sockets[0].getsockname()[:2])
    transport.abort()
    server.close()
    await server.wait_closed()
    await asyncio.sleep(0)
    return transport


def test_a_viewer_who_has_gone_is_told_nothing_and_nothing_fails() -> None:
    async def say_goodbye() -> None:
        connection = SocketConnection(await gone(), Frames())
        connection.send(b"{}")
        connection.close("the store is away", 2.0)
        assert not connection.is_slow

    on_uvloop(say_goodbye)


def test_a_request_whose_client_has_gone_is_no_fault_of_the_host(caplog: pytest.LogCaptureFixture) -> None:
    async def lose() -> None:
        request = make_mocked_request("GET", "/live/t3_1/socket", transport=await gone())
        with caplog.at_level(logging.WARNING):
            assert failure(request, ConnectionResetError("Connection lost"), has_gone(request)).status == 503

    on_uvloop(lose)
    assert caplog.records == []
