"""A real Redis for tests: the server that the host embeds, one for each test process."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import redis

from showground.redis.server import Fsync, ServerProcess
from showground.testing.cluster import RunningCluster


@contextmanager
def running_server(folder: Path, *, fsync: Fsync = "everysec") -> Iterator[ServerProcess]:
    """Start a server on *folder* and stop it at the end. One that is killed and shall have lost nothing needs *fsync* `always`:
    otherwise it answers before it writes while the disk is too busy to sync."""
    server = ServerProcess(folder, fsync=fsync)
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


@contextmanager
def plain_clients(deployment: ServerProcess | RunningCluster) -> Iterator[list[redis.Redis]]:
    """redis-py's clients on every server that holds keys of its own."""
    if isinstance(deployment, ServerProcess):
        with plain_client(deployment) as client:
            yield [client]
    else:
        yield [node.client for node in deployment.primaries()]
