"""A real Redis for tests: the server that the host embeds, one for each test process."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import redis

from showground.redis.server import ServerProcess


@contextmanager
def running_server(folder: Path) -> Iterator[ServerProcess]:
    """Start a server on *folder* and stop it at the end."""
    server = ServerProcess(folder)
    try:
        server.start()
        server.wait_ready(30)
        yield server
    finally:
        server.close()


@contextmanager
def plain_client(server: ServerProcess) -> Iterator[redis.Redis]:
    """redis-py's synchronous client on *server*: for looking at what our own client did."""
    client = redis.Redis(unix_socket_path=str(server.socket), password=server.password)
    try:
        yield client
    finally:
        client.close()
