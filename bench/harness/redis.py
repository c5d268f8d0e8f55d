"""The Redis server that a host would embed, started by itself, so that both sides can ask the same one."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from harness.rounds import Scale
from showground.redis.server import ServerProcess


@contextmanager
def redis(scale: Scale, name: str) -> Iterator[str]:
    """Its URL: a Unix socket and a password; append-only file, fsync each second."""
    server = ServerProcess(scale.folder / name)
    server.start()
    try:
        server.wait_ready(30)
        yield server.url
    finally:
        server.close()
