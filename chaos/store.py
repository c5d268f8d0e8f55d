"""The Redis that the hosts of a run are on: one server, or one of the two kinds that fail over; all on loopback."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Protocol, cast

import redis

from chaos.plan import Deployment
from showground.redis.server import ServerProcess
from showground.testing.cluster import RunningCluster, running_cluster
from showground.testing.sentinels import LedServers, led_servers

SAFE = {"min-replicas-to-write": "1", "min-replicas-max-lag": "10"}
"""As docs/redis.md advises: a primary that nobody follows any more acknowledges nothing."""


class Store(Protocol):
    socket: Path | None
    """Where each host's own line leads to; None: hosts need none, and could not be kept to it."""

    keeps_heard: bool
    """Whether a message that subscribers heard is never lost; a failover may take one that was not acknowledged yet."""

    def url(self, line_port: int) -> str:
        """For a host whose line is at *line_port* of loopback."""
        ...

    def open(self) -> redis.Redis:
        """A client of the driver's own, on whoever serves now; to be closed."""
        ...


class OneServer:
    """One server with an append-only file."""

    keeps_heard = True

    def __init__(self, server: ServerProcess) -> None:
        self.server = server
        self.socket: Path | None = server.socket

    def url(self, line_port: int) -> str:
        return f"redis://:{self.server.password}@127.0.0.1:{line_port}"

    def open(self) -> redis.Redis:
        return redis.Redis(unix_socket_path=str(self.server.socket), password=self.server.password)


class SentinelStore:
    """A primary, its replica, and three Sentinels."""

    socket: Path | None = None
    keeps_heard = False

    def __init__(self, led: LedServers) -> None:
        self.led = led

    def url(self, line_port: int) -> str:
        return self.led.url + "&replicas=1"

    def open(self) -> redis.Redis:
        return redis.Redis(port=self.led.ports[self.led.leader()], password=self.led.password)


class ClusterStore:
    """Three primaries with a replica each."""

    socket: Path | None = None
    keeps_heard = False

    def __init__(self, cluster: RunningCluster) -> None:
        self.cluster = cluster

    def url(self, line_port: int) -> str:
        return self.cluster.url + "?replicas=1"

    def open(self) -> redis.Redis:
        client = redis.RedisCluster("127.0.0.1", self.cluster.primaries()[0].port, password=self.cluster.password)
        return cast("redis.Redis", client)  # the same for all that is asked here


@contextmanager
def running_store(deployment: Deployment, folder: Path) -> Iterator[Store]:
    """Start it in *folder*, and stop it at the end."""
    match deployment:
        case "sentinel":
            with led_servers(folder, SAFE) as led:
                yield SentinelStore(led)
        case "cluster":
            with running_cluster(folder, SAFE, append_only=True) as cluster:
                yield ClusterStore(cluster)
        case _:
            server = ServerProcess(folder)
            try:
                server.start()
                server.wait_ready()
                yield OneServer(server)
            finally:
                server.close()
