"""Many subscribers in one process: counts every frame, reads the time out of every eighth one.

    swarm.py <port> <connections> <path> <kind: plain | socketio> <counter file>

Prints `ready` when all are connected. For each line on stdin it prints what it got since the last one:
`{"received", "p50_ms", "p99_ms"}`. Frames are parsed just enough to find their ends.
"""

from __future__ import annotations

import asyncio
import json
import mmap
import os
import resource
import sys
import time
from typing import cast

import uvloop

SAMPLE = 8


class Swarm:
    def __init__(self, counter: mmap.mmap) -> None:
        self.counter = counter
        self.received = 0
        self.ready = 0
        self.latencies: list[float] = []
        self.lost = 0

    def count(self, frames: int, sample: bytes) -> None:
        before = self.received
        self.received += frames
        self.counter[:8] = self.received.to_bytes(8, "little")
        if before // SAMPLE != self.received // SAMPLE:
            at = sample.find(b"@")
            if at >= 0:
                self.latencies.append((time.monotonic_ns() - int(sample[at + 1 : at + 21])) / 1e6)


class Subscriber(asyncio.Protocol):
    def __init__(self, swarm: Swarm, path: str, kind: str) -> None:
        self._swarm, self._path, self._kind = swarm, path, kind
        self._buffer = b""
        self._upgraded = False
        self._ready = False
        self._transport: asyncio.Transport

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.Transport", transport)  # uvloop's is one in all but name
        self._transport.write(
            f"GET {self._path} HTTP/1.1\r\nHost: 127.0.0.1\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
            "Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n".encode()
        )

    def connection_lost(self, exc: Exception | None) -> None:
        self._swarm.lost += 1

    def send(self, opcode: int, payload: bytes) -> None:
        """A masked frame, with the mask that changes nothing."""
        self._transport.write(bytes((0x80 | opcode, 0x80 | len(payload))) + b"\0\0\0\0" + payload)

    def data_received(self, data: bytes) -> None:
        buffer = self._buffer + data if self._buffer else data
        if not self._upgraded:
            end = buffer.find(b"\r\n\r\n")
            if end < 0:
                self._buffer = buffer
                return
            assert buffer.startswith(b"HTTP/1.1 101"), buffer[:200]
            self._upgraded = True
            buffer = buffer[end + 4 :]
            if self._kind == "plain" and self._path == "/":
                self._is_ready()
        at, length = 0, len(buffer)
        while at + 2 <= length:
            size, start = buffer[at + 1] & 0x7F, at + 2
            if size == 126:
                size, start = int.from_bytes(buffer[start : start + 2], "big"), start + 2
            elif size == 127:
                size, start = int.from_bytes(buffer[start : start + 8], "big"), start + 8
            end = start + size
            if end > length:
                break
            if b"@" in buffer[start : start + 120]:
                whole, head = end - at, buffer[at : start + 1]
                frames = (length - at) // whole
                # Frames of one length in a row are counted at once; the total is compared with what was published.
                if frames > 1 and not all(buffer.startswith(head, at + n * whole) for n in range(1, frames)):
                    frames = 1
                self._swarm.count(frames, buffer[start : start + 120])
                at += whole * frames
            else:
                self._control(buffer[at] & 0x0F, buffer[start:end])
                at = end
        self._buffer = buffer[at:]

    def _control(self, opcode: int, payload: bytes) -> None:
        if opcode == 9:
            self.send(10, payload)
        elif self._kind == "socketio":
            if payload[:1] == b"0":
                self.send(1, b"40")
            elif payload[:2] == b"40":
                self._is_ready()
            elif payload == b"2":
                self.send(1, b"3")
        elif b'"hello"' in payload:
            self._is_ready()

    def _is_ready(self) -> None:
        if not self._ready:
            self._ready = True
            self._swarm.ready += 1


async def main(port: str, connections: str, path: str, kind: str, counter_file: str) -> None:
    hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    descriptor = os.open(counter_file, os.O_RDWR)
    swarm = Swarm(mmap.mmap(descriptor, 8))
    loop = asyncio.get_running_loop()
    wanted = int(connections)
    for start in range(0, wanted, 100):
        await asyncio.gather(
            *(
                loop.create_connection(lambda: Subscriber(swarm, path, kind), "127.0.0.1", int(port))
                for _ in range(start, min(start + 100, wanted))
            )
        )
    while swarm.ready < wanted:  # noqa: ASYNC110  # the loop is idle while clients connect
        await asyncio.sleep(0.01)
    print("ready", flush=True)
    reader = asyncio.StreamReader()
    await loop.connect_read_pipe(lambda: asyncio.StreamReaderProtocol(reader), sys.stdin)
    told = 0
    while await reader.readline():
        latencies, swarm.latencies = sorted(swarm.latencies), []
        answer = {
            "received": swarm.received - told,
            "p50_ms": latencies[len(latencies) // 2] if latencies else None,
            "p99_ms": latencies[int(len(latencies) * 0.99)] if latencies else None,
            "lost": swarm.lost,
        }
        told = swarm.received
        print(json.dumps(answer), flush=True)


if __name__ == "__main__":
    uvloop.run(main(*sys.argv[1:6]))
