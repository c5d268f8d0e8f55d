"""A viewer where WebSockets are blocked: it hears on an event stream of one host, and speaks by POSTs that any host may get."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable
from typing import Any

import aiohttp

from showground.testing.viewer import NotSeen, Viewer

POST_S = 5.0


class StreamViewer(Viewer):
    """Speaks as the browser's script does: one POST after the other; one that fails ends the connection."""

    def __init__(self, url: str, post: str, any_url: Callable[[], str | None]) -> None:
        super().__init__(url, post)
        self._any_url = any_url
        self._stream: aiohttp.ClientResponse | None = None

    async def connect(self, *, forget: bool = False) -> None:
        if forget:
            self.view = self.resume = None
        self._session = self._session or aiohttp.ClientSession()
        self.farewell = self.resumed = None
        hello: dict[str, Any] = {"type": "hello", "post": self.post, "env": self.env}
        if self.view is not None:
            hello |= {"view": self.view, "resume": self.resume, "rev": self.rev}
        self._stream = await self._session.get(
            f"{self.url}/live/{self.post}/stream",
            params={"hello": json.dumps(hello)},
            timeout=aiohttp.ClientTimeout(total=None, sock_connect=POST_S),
        )
        if self._stream.status != 200:
            raise NotSeen(f"the host answered {self._stream.status}: {(await self._stream.text())[:200]}")
        self._reader = asyncio.create_task(self._hear(self._stream), name=f"stream viewer of {self.post}")
        await self.until(lambda: self.resumed is not None or self.farewell, "a welcome")
        for seq, event in sorted(self._unacknowledged.items()):
            await self._send({"type": "event", "seq": seq, "event": event})

    async def cut(self) -> None:
        if self._stream is not None:
            self._stream.close()
        await self._end_reader()

    async def close(self) -> None:
        await self.cut()
        await super().close()

    async def _hear(self, stream: aiohttp.ClientResponse) -> None:
        try:
            async for line in stream.content:
                if line.startswith(b"data: "):
                    await self._take(json.loads(line[6:]))
                    self._changed.set()
        except (aiohttp.ClientError, TimeoutError, OSError):
            pass
        self._lose()

    async def _send(self, message: dict[str, Any]) -> None:
        url = self._any_url()
        if (
            self.farewell is not None
            or self._session is None
            or self.view is None
            or self.resume is None
            or url is None
        ):
            return
        address = f"{url}/live/{self.post}/views/{self.view}"
        timeout = aiohttp.ClientTimeout(total=POST_S)
        headers = {"X-View-Pass": self.resume}
        try:
            async with self._session.post(address, json=message, headers=headers, timeout=timeout) as answer:
                is_taken = answer.status == 202
        except (aiohttp.ClientError, TimeoutError, OSError):
            is_taken = False
        if not is_taken:
            self._lose()

    def _lose(self) -> None:
        self.farewell = self.farewell or {"type": "bye", "reason": "connection lost", "retry_after": 0}
        self._changed.set()
