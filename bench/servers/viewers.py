"""Many WebSockets in one process, light enough to be no limit: viewers of a live post, or subscribers of a channel.

    viewers.py <port> <connections> <path> <first message to send, or nothing>

Prints `ready` when each has got its first message. A line on stdin (`{"mark": "…", "within_s": 5}`) is answered once every
connection has got a message with that text, or after that time: when, how many have it, and what came since the line before.
"""

from __future__ import annotations

import asyncio
import json
import sys
import time
from contextlib import suppress
from typing import cast

import uvloop


class Crowd:
    def __init__(self, connections: int) -> None:
        self.connections = connections
        self.greeted = 0
        self.frames = 0
        self.bytes = 0
        self.mark = b"\0"
        self.seen = 0
        self.all = asyncio.Event()

    def greet(self) -> None:
        self.greeted += 1
        if self.greeted == self.connections:
            self.all.set()

    def take(self, payload: bytes) -> None:
        self.frames += 1
        self.bytes += len(payload)
        if self.mark in payload:
            self.seen += 1
            if self.seen == self.connections:
                self.all.set()


class Viewer(asyncio.Protocol):
    def __init__(self, crowd: Crowd, path: str, hello: bytes) -> None:
        self._crowd, self._path, self._hello = crowd, path, hello
        self._buffer = b""
        self._upgraded = self._greeted = False
        self._transport: asyncio.Transport

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.Transport", transport)  # uvloop's is one in all but name
        self._transport.write(
            f"GET {self._path} HTTP/1.1\r\nHost: 127.0.0.1\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
            "Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n".encode()
        )

    def connection_lost(self, error: Exception | None) -> None:
        print(f"a connection was lost: {error}", file=sys.stderr, flush=True)
        asyncio.get_running_loop().stop()

    def data_received(self, data: bytes) -> None:
        buffer = self._buffer + data if self._buffer else data
        if not self._upgraded:
            head, separator, rest = buffer.partition(b"\r\n\r\n")
            if not separator:
                self._buffer = buffer
                return
            if not head.startswith(b"HTTP/1.1 101"):
                raise RuntimeError(buffer[:500].decode("utf-8", "replace"))
            self._upgraded, buffer = True, rest
            if self._hello:
                self._transport.write(masked(self._hello))
        at = 0
        while at + 2 <= len(buffer):
            size, start = buffer[at + 1] & 0x7F, at + 2
            if size > 125:
                start += 2 if size == 126 else 8
                size = int.from_bytes(buffer[at + 2 : start], "big")
            if start + size > len(buffer):
                break
            if buffer[at] & 0x0F == 1:
                if not self._greeted:
                    self._greeted = True
                    self._crowd.greet()
                self._crowd.take(buffer[start : start + size])
            at = start + size
        self._buffer = buffer[at:]


def masked(payload: bytes) -> bytes:
    """A text frame with the mask that changes nothing."""
    size = bytes((0x80 | len(payload),)) if len(payload) < 126 else b"\xfe" + len(payload).to_bytes(2, "big")
    return b"\x81" + size + b"\0\0\0\0" + payload


async def main(port: str, connections: str, path: str, hello: str) -> None:
    loop, crowd = asyncio.get_running_loop(), Crowd(int(connections))
    for start in range(0, crowd.connections, 50):
        await asyncio.gather(
            *(
                loop.create_connection(lambda: Viewer(crowd, path, hello.encode()), "127.0.0.1", int(port))
                for _ in range(start, min(start + 50, crowd.connections))
            )
        )
    await crowd.all.wait()
    print("ready", flush=True)
    reader = asyncio.StreamReader()
    await loop.connect_read_pipe(lambda: asyncio.StreamReaderProtocol(reader), sys.stdin)
    while line := await reader.readline():
        order = json.loads(line)
        crowd.all.clear()
        crowd.mark, crowd.seen, crowd.frames, crowd.bytes = order["mark"].encode(), 0, 0, 0
        print("listening", flush=True)
        with suppress(TimeoutError):
            async with asyncio.timeout(order["within_s"]):
                await crowd.all.wait()
        told = {"at": time.time(), "seen": crowd.seen, "frames": crowd.frames, "bytes": crowd.bytes}
        print(json.dumps(told), flush=True)


uvloop.run(main(*sys.argv[1:5]))
