"""`showground listen` against a real host over HTTP."""

from __future__ import annotations

import asyncio
import http.client
import json
from collections.abc import Iterator
from typing import Any
from urllib.parse import urlencode

import pytest
from click.testing import CliRunner
from tests.plugins.realtime.serving import Host, serve

from showground.errors import ShowgroundError
from showground.testing.waiting import eventually
from showground_realtime.commands import listen


class HttpSession:
    """The part of `hookspecs.Session` that the command uses."""

    def __init__(self, port: int) -> None:
        self._port = port
        self.shown: list[tuple[dict[str, Any], str]] = []

    def lines(self, path: str, **query: str | int | float | None) -> Iterator[str]:
        asked = urlencode({k: v for k, v in query.items() if v is not None})
        connection = http.client.HTTPConnection("127.0.0.1", self._port, timeout=20)
        try:
            connection.request("GET", f"{path}?{asked}")
            response = connection.getresponse()
            if response.status != 200:
                raise ShowgroundError.from_json(json.loads(response.read()))
            while line := response.readline():
                yield line.decode()
        finally:
            connection.close()

    def show(self, document: dict[str, Any], text: str) -> None:
        self.shown.append((document, text))


async def run(host: Host, *arguments: str) -> tuple[int, HttpSession]:
    session = HttpSession(host.port)
    command = ["events", "--community", "playground", "--app", "server-push", *arguments]
    result = await asyncio.to_thread(lambda: CliRunner().invoke(listen, command, obj=session))
    if result.exception is not None and not isinstance(result.exception, SystemExit):
        raise result.exception
    return result.exit_code, session


async def test_listen_prints_what_follows_a_position_and_ends_after_count() -> None:
    async with serve() as host:
        first, second, third = await host.publish(b"1", b'{"message":"tick"}', b"3")
        code, session = await run(host, "--since", first, "--count", "2")
        assert code == 0
        hello, *messages = [document for document, _ in session.shown]
        assert (hello["type"], hello["recovered"]) == ("hello", True)
        assert messages == [
            {"type": "message", "position": second, "data": {"message": "tick"}},
            {"type": "message", "position": third, "data": 3},
        ]
        assert session.shown[1][1] == '{"message":"tick"}'


async def test_listen_says_when_what_came_before_is_gone() -> None:
    async with serve(history_messages=1) as host:
        first, *_ = await host.publish(b"1", b"2", b"3")
        listening = asyncio.ensure_future(run(host, "--since", first, "--count", "1"))
        await eventually(lambda: len(host.streams))
        await host.publish(b"4")
        _, session = await listening
        assert "no longer there" in session.shown[0][1]
        assert session.shown[1][0]["data"] == 4


async def test_listen_says_what_is_wrong_with_its_request() -> None:
    async with serve() as host:
        with pytest.raises(ShowgroundError) as refused:
            await run(host, "--since", "yesterday")
        assert refused.value.code == "invalid"
