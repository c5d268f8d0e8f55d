"""A real cluster for tests: three primaries with a replica each, on loopback, quick to notice that one is gone."""

from __future__ import annotations

import random
import secrets
import socket
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import redis

from showground.redis.server import ServerProcess

NODE_TIMEOUT_MS = 1000
_SLOTS = 16384


def free_ports(count: int) -> list[int]:
    """Different ports of loopback that nobody uses now, below those that the kernel gives to clients."""
    found: list[int] = []
    with ExitStack() as held:
        while len(found) < count:
            port = random.randint(15_000, 30_000)  # noqa: S311  # so that test processes beside each other do not meet
            try:
                held.enter_context(socket.create_server(("127.0.0.1", port)))
            except OSError:
                continue
            found.append(port)
    return found


def until(condition: Callable[[], object], what: str, timeout_s: float = 30.0) -> None:
    """Block until *condition* gives a true value; a connection that is refused meanwhile counts as false."""
    deadline = time.monotonic() + timeout_s
    while True:
        try:
            if condition():
                return
        except redis.RedisError:
            pass
        assert time.monotonic() < deadline, f"{what}: not within {timeout_s:g} s"
        time.sleep(0.02)


@dataclass
class ClusterNode:
    """One server of a cluster."""

    server: ServerProcess
    port: int
    client: redis.Redis
    """redis-py's synchronous client on this one server."""

    def do(self, *command: Any) -> Any:
        return self.client.execute_command(*command)  # type: ignore[no-untyped-call]

    @property
    def id(self) -> str:
        return str(self.do("CLUSTER", "MYID").decode())

    @property
    def leads(self) -> bool:
        return bool(self.client.info("replication")["role"] == "master")


@dataclass
class RunningCluster:
    """Six servers; use `running_cluster`."""

    password: str = field(default_factory=lambda: secrets.token_urlsafe(12))
    nodes: list[ClusterNode] = field(default_factory=list)

    @property
    def url(self) -> str:
        """For `open_redis`; names two of the nodes only."""
        hosts = ",".join(f"127.0.0.1:{node.port}" for node in self.nodes[:2])
        return f"redis+cluster://:{self.password}@{hosts}"

    def owner(self, slot: int) -> ClusterNode:
        """The primary that serves *slot*."""
        for node in self.nodes:
            if node.server.alive() and node.leads:
                for first, last, (_, port, *_), *_ in node.do("CLUSTER", "SLOTS"):
                    if first <= slot <= last and port == node.port:
                        return node
        raise AssertionError(f"nobody serves slot {slot}")

    def primaries(self) -> list[ClusterNode]:
        return [node for node in self.nodes if node.server.alive() and node.leads]

    def until_in_order(self) -> None:
        """Wait until every server serves, knows all others, and every replica follows its primary."""

        def in_order() -> bool:
            for node in self.nodes:
                state = node.do("CLUSTER", "INFO")
                if b"cluster_state:ok" not in _flat(state) or b"cluster_known_nodes:6" not in _flat(state):
                    return False
                replication = node.client.info("replication")
                if replication["role"] == "slave" and replication["master_link_status"] != "up":
                    return False
                seen = [entry[2][1] for entry in node.do("CLUSTER", "SLOTS") if len(entry) > 3]
                if len(set(seen)) != 3:
                    return False
            return True

        until(in_order, "the cluster is in order")

    def restore(self) -> None:
        """Start what was killed, and wait until the cluster is in order again."""
        for node in self.nodes:
            if not node.server.alive():
                node.server.start()
                node.server.wait_ready(30)
        self.until_in_order()


def _flat(state: Any) -> bytes:
    if isinstance(state, dict):
        return "".join(f"{name}:{value}\n" for name, value in state.items()).encode()
    return bytes(state)


@contextmanager
def running_cluster(
    folder: Path, config: Mapping[str, str] | None = None, *, append_only: bool = False
) -> Iterator[RunningCluster]:
    """Start six servers on *folder*, make them a cluster, and stop them at the end.

    One that is killed and started again has its data from its primary; from its own disk only with *append_only*, and then a
    disk that is busy for `NODE_TIMEOUT_MS` makes it fail over.
    """
    cluster = RunningCluster()
    ports = free_ports(12)
    with ExitStack() as stack:
        for number, (port, bus) in enumerate(zip(ports[:6], ports[6:], strict=True)):
            server = ServerProcess(
                folder / str(number),
                config=_config(cluster.password, port, bus, config or {}),
                append_only=append_only,
            )
            server.password = cluster.password
            stack.callback(server.close)
            server.start()
            client = redis.Redis(unix_socket_path=str(server.socket), password=cluster.password)
            stack.callback(client.close)
            cluster.nodes.append(ClusterNode(server, port, client))
        _join(cluster.nodes, ports[6:])
        cluster.until_in_order()
        yield cluster


def _config(password: str, port: int, bus: int, more: Mapping[str, str]) -> dict[str, str]:
    return {
        "port": str(port),
        "bind": "127.0.0.1",
        "cluster-enabled": "yes",
        "cluster-port": str(bus),
        "cluster-node-timeout": str(NODE_TIMEOUT_MS),
        "cluster-replica-validity-factor": "0",
        "repl-diskless-sync-delay": "0",
        "repl-ping-replica-period": "1",
        "masterauth": password,
        **more,
    }


def _join(nodes: Sequence[ClusterNode], buses: Sequence[int]) -> None:
    for number, node in enumerate(nodes):
        node.server.wait_ready(30)
        node.do("CLUSTER", "SET-CONFIG-EPOCH", number + 1)
    third = _SLOTS // 3
    for number, node in enumerate(nodes[:3]):
        last = _SLOTS - 1 if number == 2 else (number + 1) * third - 1
        node.do("CLUSTER", "ADDSLOTSRANGE", number * third, last)
    for at, node in enumerate(nodes):
        for other, bus in list(zip(nodes, buses, strict=True))[at + 1 :]:
            node.do("CLUSTER", "MEET", "127.0.0.1", other.port, bus)

    def all_met() -> bool:
        return all(b"cluster_known_nodes:6" in _flat(node.do("CLUSTER", "INFO")) for node in nodes)

    until(all_met, "all nodes know each other")
    for primary, replica in zip(nodes[:3], nodes[3:], strict=True):
        until(lambda p=primary, r=replica: r.do("CLUSTER", "REPLICATE", p.id), "a replica follows")  # type: ignore[misc]
