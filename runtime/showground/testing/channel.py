"""A listener outside of posts, for tests: what a channel carries, message by message."""

from __future__ import annotations

import asyncio
from typing import Any

import aiohttp
import msgspec

PATIENCE_S = 10.0


class Listener:
    """Hears one channel from the moment on at which it was entered."""

    def __init__(self, channel: str, socket: aiohttp.ClientWebSocketResponse) -> None:
        self.channel = channel
        self._socket = socket
        self.heard: list[Any] = []
        """Every message that `next` returned."""

    async def next(self) -> Any:
        """The next message; fails when none comes within ten seconds, with those that did."""
        while (frame := await self._frame())["type"] != "message":
            pass
        self.heard.append(frame["data"])
        return frame["data"]

    async def hello(self) -> None:
        """Wait until the host listens on our behalf."""
        frame = await self._frame()
        assert frame["type"] == "hello", f"the host answered with {frame}"

    async def _frame(self) -> Any:
        try:
            async with asyncio.timeout(PATIENCE_S):
                return msgspec.json.decode(await self._socket.receive_str())
        except TimeoutError:
            raise AssertionError(
                f"nothing on the channel {self.channel!r} for {PATIENCE_S:g} s; heard so far: {self.heard}"
            ) from None
