"""A real Sentinel deployment for tests: a primary, a replica and three Sentinels, on loopback, quick to fail over."""

from __future__ import annotations

import secrets
import subprocess
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import redis

from showground.redis.server import ServerProcess, find_binary, tied
from showground.testing.cluster import free_ports, until

SERVICE = "main"
DOWN_MS = 500
"""A primary that is silent for so long counts as gone."""


@dataclass
class LedServers:
    """Two servers and three Sentinels; use `led_servers`."""

    ports: list[int]
    sentinel_ports: list[int]
    password: str = field(default_factory=lambda: secrets.token_urlsafe(12))
    sentinel_password: str = field(default_factory=lambda: secrets.token_urlsafe(12))
    servers: list[ServerProcess] = field(default_factory=list)
    clients: list[redis.Redis] = field(default_factory=list)
    """redis-py's synchronous clients on the servers."""

    @property
    def url(self) -> str:
        hosts = ",".join(f"127.0.0.1:{port}" for port in self.sentinel_ports)
        return f"redis+sentinel://:{self.password}@{hosts}/{SERVICE}?sentinel_password={self.sentinel_password}"

    def leader(self) -> int:
        """Which of the servers the first Sentinel names: 0 or 1."""
        with redis.Redis(port=self.sentinel_ports[0], password=self.sentinel_password) as sentinel:
            _, port = sentinel.execute_command("SENTINEL", "GET-MASTER-ADDR-BY-NAME", SERVICE)
        return self.ports.index(int(port))

    def hand_over(self) -> None:
        """Have the replica lead, as an operator does before a restart, and wait until the Sentinels say so."""
        before = self.leader()
        with redis.Redis(port=self.sentinel_ports[0], password=self.sentinel_password) as sentinel:
            sentinel.sentinel_failover(SERVICE)
        until(lambda: self.leader() != before, "the replica leads")

    def until_in_order(self) -> None:
        """Wait until one leads, the other follows, and every Sentinel knows that and the other Sentinels."""

        def in_order() -> bool:
            roles = [client.info("replication") for client in self.clients]
            follower = next((r for r in roles if r["role"] == "slave"), None)
            if follower is None or follower["master_link_status"] != "up":
                return False
            if roles[self.leader()]["role"] != "master":
                return False
            for port in self.sentinel_ports:
                with redis.Redis(port=port, password=self.sentinel_password) as sentinel:
                    state = sentinel.sentinel_master(SERVICE)
                    followers = sentinel.sentinel_slaves(SERVICE)
                if state["num-other-sentinels"] != 2 or state["num-slaves"] < 1 or state["flags"] != "master":
                    return False
                if any(follower["is_sdown"] or follower["is_disconnected"] for follower in followers):
                    return False  # it would not be chosen yet
            return True

        until(in_order, "the Sentinels are in order")

    def restore(self) -> None:
        """Start what was killed; it follows the one that leads now."""
        leader = self.leader()
        for number, server in enumerate(self.servers):
            if not server.alive():
                server.start(() if number == leader else ("--replicaof", "127.0.0.1", str(self.ports[leader])))
                server.wait_ready(30)
            elif number != leader:
                self.clients[number].replicaof("127.0.0.1", self.ports[leader])  # Sentinel would do it after 8 s
        self.until_in_order()


@contextmanager
def led_servers(folder: Path, config: Mapping[str, str] | None = None) -> Iterator[LedServers]:
    """Start them on *folder*, and stop them at the end."""
    ports = free_ports(5)
    led = LedServers(ports[:2], ports[2:])
    with ExitStack() as stack:
        for number, port in enumerate(led.ports):
            follow = {"replicaof": f"127.0.0.1 {led.ports[0]}"} if number else {}
            server = ServerProcess(
                folder / f"server{number}", config={**_config(led.password, port), **follow, **(config or {})}
            )
            server.password = led.password
            stack.callback(server.close)
            server.start()
            led.servers.append(server)
            client = redis.Redis(unix_socket_path=str(server.socket), password=led.password)
            stack.callback(client.close)
            led.clients.append(client)
        led.servers[0].wait_ready(30)
        for port in led.sentinel_ports:
            process = _start_sentinel(folder / f"sentinel{port}", port, led)
            stack.callback(process.wait)
            stack.callback(process.kill)
        led.until_in_order()
        yield led


def _config(password: str, port: int) -> dict[str, str]:
    return {
        "port": str(port),
        "bind": "127.0.0.1",
        "masterauth": password,
        "repl-diskless-sync-delay": "0",
        "repl-ping-replica-period": "1",
    }


def _start_sentinel(folder: Path, port: int, led: LedServers) -> subprocess.Popen[bytes]:
    folder.mkdir()
    file = folder / "sentinel.conf"
    file.write_text(
        f"port {port}\nbind 127.0.0.1\ndir {folder}\nlogfile {folder}/sentinel.log\n"
        f"requirepass {led.sentinel_password}\nsentinel sentinel-pass {led.sentinel_password}\n"
        f"sentinel monitor {SERVICE} 127.0.0.1 {led.ports[0]} 2\n"
        f"sentinel auth-pass {SERVICE} {led.password}\n"
        f"sentinel down-after-milliseconds {SERVICE} {DOWN_MS}\n"
        f"sentinel failover-timeout {SERVICE} 2000\n"
        f"sentinel parallel-syncs {SERVICE} 1\n"
    )
    file.chmod(0o600)
    return subprocess.Popen(
        tied([str(find_binary()), str(file), "--sentinel"]), stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    )
