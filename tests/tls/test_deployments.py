"""TLS with certificates of our own CA, a client certificate and an ACL user, for each kind of deployment."""

from __future__ import annotations

import asyncio
import shutil
import ssl
import subprocess
from collections.abc import AsyncIterator, Iterator
from contextlib import AsyncExitStack, ExitStack, asynccontextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlencode

import pytest
import trustme
from tests.tls.tls_proxy import tls_before

from showground.errors import ShowgroundError
from showground.redis.api import Redis
from showground.redis.deployment import open_redis
from showground.redis.server import ServerProcess, tied
from showground.tasks import Tasks
from showground.testing.cluster import free_ports, until
from showground.testing.redis import plain_client
from showground.testing.waiting import eventually

USER = ("ACL", "SETUSER", "app", "on", ">p@ss", "~sg:*", "&sg:*", "+@all", "-@dangerous", "+info", "+role")
ON_CLUSTER = ("+cluster|slots", "+cluster|countkeysinslot")


@dataclass(frozen=True)
class Certificates:
    folder: Path
    authority: trustme.CA

    @property
    def query(self) -> str:
        return urlencode({name: self.folder / f"{name}.pem" for name in ("ca", "cert", "key")})

    @property
    def config(self) -> dict[str, str]:
        """For a server that speaks TLS itself."""
        names = {"ca": "ca-cert", "cert": "cert", "key": "key"}
        return {f"tls-{option}-file": str(self.folder / f"{name}.pem") for name, option in names.items()}

    def context(self) -> ssl.SSLContext:
        """A server's: presents a certificate for 127.0.0.1 and demands one of the client."""
        context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
        context.verify_mode = ssl.CERT_REQUIRED
        self.authority.configure_trust(context)
        self.authority.issue_cert("127.0.0.1", "localhost").configure_cert(context)
        return context


@pytest.fixture(scope="module")
def certificates(tmp_path_factory: pytest.TempPathFactory) -> Certificates:
    folder = tmp_path_factory.mktemp("certificates")
    authority = trustme.CA()
    authority.cert_pem.write_to_path(folder / "ca.pem")
    issued = authority.issue_cert("127.0.0.1")
    issued.private_key_pem.write_to_path(folder / "key.pem")
    issued.cert_chain_pems[0].write_to_path(folder / "cert.pem")
    return Certificates(folder, authority)


@pytest.fixture
async def port(tmp_path: Path, certificates: Certificates) -> AsyncIterator[int]:
    """One server behind TLS."""
    (plain,) = free_ports(1)
    server = ServerProcess(tmp_path, config={"port": str(plain), "bind": "127.0.0.1"})
    try:
        server.start()
        server.wait_ready(30)
        with plain_client(server) as admin:
            admin.execute_command(*USER)  # type: ignore[no-untyped-call]
        async with tls_before(plain, certificates.context()) as port:
            yield port
    finally:
        server.close()


@asynccontextmanager
async def overheard(port: int) -> AsyncIterator[tuple[int, list[bytearray]]]:
    """A port, at every address of this machine, that leads to *port*; and what each of its connections sent there."""
    heard: list[bytearray] = []
    writers: set[asyncio.StreamWriter] = set()

    async def pass_on(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, copy: bytearray) -> None:
        with suppress(OSError):
            while data := await reader.read(65536):
                copy += data
                writer.write(data)
                await writer.drain()
        writer.close()

    async with Tasks() as tasks:

        async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            inner_reader, inner_writer = await asyncio.open_connection("127.0.0.1", port)
            writers.update((writer, inner_writer))
            heard.append(bytearray())
            tasks.start("to the server", pass_on(reader, inner_writer, heard[-1]))
            tasks.start("to the client", pass_on(inner_reader, writer, bytearray()))

        async with await asyncio.start_server(serve, "0.0.0.0", 0) as server:
            yield server.sockets[0].getsockname()[1], heard
            for writer in writers:
                writer.transport.abort()


async def works(redis: Redis) -> None:
    heard: list[bytes] = []
    async with redis.subscriber(lambda name, data: heard.append(data)) as subscriber:
        await subscriber.subscribe("sg:news")
        assert await redis.pipeline([("SET", f"sg:{n}", "x" * 100_000) for n in range(5)]) == [b"OK"] * 5
        async with redis.transaction("sg:1") as transaction:
            await transaction.call("WATCH", "sg:1")
            await transaction.call("MULTI")
            await transaction.call("STRLEN", "sg:1")
            assert await transaction.call("EXEC") == [100_000]
        assert len([key async for key in redis.scan("sg:*")]) == 5
        await redis.ping()


async def test_one_server_by_tls(port: int, certificates: Certificates) -> None:
    async with open_redis(f"rediss://app:p%40ss@127.0.0.1:{port}?{certificates.query}", Path()) as redis:
        await works(redis)


TLS_HANDSHAKE = b"\x16\x03"
"""How a connection begins whose client speaks TLS (RFC 8446, section 5.1)."""
REASONS = {
    "unknown authority": "self-signed certificate in certificate chain",
    "no client certificate": "the connection was lost",  # TLS 1.3 has the server say no after the client's handshake
    "another name": "not valid for '127.0.0.2'",
    "no TLS": "the connection was lost",
}


@pytest.mark.parametrize("fault", REASONS)
async def test_a_connection_that_tls_refuses_says_why_and_is_not_tried_in_the_clear(
    port: int, certificates: Certificates, fault: str
) -> None:
    ca = f"ca={certificates.folder}/ca.pem"
    async with overheard(port) as (heard_port, heard):
        url = {
            "unknown authority": f"rediss://app:p%40ss@127.0.0.1:{heard_port}",
            "no client certificate": f"rediss://app:p%40ss@127.0.0.1:{heard_port}?{ca}",
            "another name": f"rediss://app:p%40ss@127.0.0.2:{heard_port}?{certificates.query}",
            "no TLS": f"redis://app:p%40ss@127.0.0.1:{heard_port}",
        }[fault]
        with pytest.raises(ShowgroundError) as caught:
            async with open_redis(url, Path()):
                pass
    assert caught.value.code == "store_unavailable"
    assert REASONS[fault] in str(caught.value)
    said = [sent for sent in heard if sent]
    assert said
    assert all(sent.startswith(TLS_HANDSHAKE) for sent in said) == (fault != "no TLS")


async def test_a_cluster_by_tls(tmp_path: Path, certificates: Certificates) -> None:
    """Two primaries that announce the ports that speak TLS."""
    ports = free_ports(6)
    plain, shown, buses = ports[:2], ports[2:4], ports[4:]
    async with AsyncExitStack() as stack:
        admins = []
        for at in range(2):
            config = {
                "port": str(plain[at]), "bind": "127.0.0.1", "cluster-enabled": "yes", "cluster-port": str(buses[at]),
                "cluster-announce-port": str(shown[at]), "cluster-announce-ip": "127.0.0.1",
            }  # fmt: skip
            server = ServerProcess(tmp_path / str(at), config=config)
            stack.callback(server.close)
            server.start()
            server.wait_ready(30)
            admin = stack.enter_context(plain_client(server))
            admin.execute_command("CLUSTER", "ADDSLOTSRANGE", at * 8192, at * 8192 + 8191)  # type: ignore[no-untyped-call]
            admin.execute_command("CLUSTER", "SET-CONFIG-EPOCH", at + 1)  # type: ignore[no-untyped-call]
            admin.execute_command(*USER, *ON_CLUSTER)  # type: ignore[no-untyped-call]
            admins.append(admin)
            await stack.enter_async_context(tls_before(plain[at], certificates.context(), shown[at]))
        admins[0].execute_command("CLUSTER", "MEET", "127.0.0.1", plain[1], buses[1])  # type: ignore[no-untyped-call]
        for admin in admins:
            until(lambda a=admin: len(a.execute_command("CLUSTER", "SLOTS")) == 2, "both know of each other")  # type: ignore[misc]
            until(lambda a=admin: "ok" in str(a.execute_command("CLUSTER", "INFO")), "the cluster serves")  # type: ignore[misc]
        url = f"rediss+cluster://app:p%40ss@127.0.0.1:{shown[0]}?{certificates.query}"
        async with open_redis(url, Path()) as redis:
            await works(redis)
            async with redis.subscriber(lambda name, data: None) as subscriber:
                for n in range(4):
                    await subscriber.subscribe(f"sg:{n}")


def tls_server() -> str | None:
    """A Redis of the system that speaks TLS."""
    path = shutil.which("redis-server")
    if path is None:
        return None
    words = subprocess.run(
        [path, "--port", "0", "--tls-port", "1"], capture_output=True, timeout=10, check=False
    ).stdout
    return path if b"No tls-cert-file configured" in words else None


@pytest.fixture
def led(tmp_path: Path, certificates: Certificates) -> Iterator[str]:
    """A primary and one Sentinel that take TLS only; gives the hosts of the URL."""
    binary = tls_server()
    if binary is None:
        pytest.skip("needs a redis-server that speaks TLS on the PATH: a Sentinel names the port that it uses itself")
    port, sentinel_port = free_ports(2)
    server = ServerProcess(
        tmp_path / "server",
        binary=Path(binary),
        config={
            "tls-port": str(port),
            "bind": "127.0.0.1",
            "user": f"app on >p@ss {' '.join(USER[5:])}",
            **certificates.config,
        },
    )
    with ExitStack() as stack:
        stack.callback(server.close)
        server.start()
        server.wait_ready(30)
        file = tmp_path / "sentinel.conf"
        lines = [
            "port 0", f"tls-port {sentinel_port}", "tls-replication yes", "bind 127.0.0.1", f"dir {tmp_path}",
            *(f"{name} {value}" for name, value in certificates.config.items()),
            f"sentinel monitor main 127.0.0.1 {port} 1", f"sentinel auth-pass main {server.password}",
            "user watcher on >w &* +sentinel|get-master-addr-by-name +ping +subscribe +auth",
        ]  # fmt: skip
        file.write_text("\n".join(lines) + "\n")
        process = subprocess.Popen(tied([binary, str(file), "--sentinel"]), stdout=subprocess.DEVNULL)
        stack.callback(process.wait)
        stack.callback(process.kill)
        yield f"127.0.0.1:{sentinel_port}"


async def test_sentinel_by_tls_with_users_of_its_own(led: str, certificates: Certificates) -> None:
    query = f"{certificates.query}&sentinel_user=watcher&sentinel_password=w"
    url = f"rediss+sentinel://app:p%40ss@{led}/main?{query}"

    async def listens() -> bool:
        try:
            _, writer = await asyncio.open_connection("127.0.0.1", int(led.rpartition(":")[2]))
        except OSError:
            return False
        writer.close()
        return True

    await eventually(listens)
    async with open_redis(url, Path(), deadline_s=3.0) as redis:
        await works(redis)
