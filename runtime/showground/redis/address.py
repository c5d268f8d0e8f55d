"""Where a Redis is and how to greet it: the URLs that an operator may write."""

from __future__ import annotations

import ssl
from dataclasses import dataclass, field, replace
from typing import Literal
from urllib.parse import parse_qs, unquote, urlsplit

from showground.errors import ShowgroundError

Scheme = Literal["redis", "rediss", "unix", "redis+sentinel", "rediss+sentinel", "redis+cluster", "rediss+cluster"]
_DEFAULT_PORT = 6379


@dataclass(frozen=True, slots=True)
class Address:
    """One server: a Unix socket, or a host and a port, with or without TLS."""

    path: str = ""
    host: str = ""
    port: int = _DEFAULT_PORT
    database: int = 0
    username: str = ""
    password: str = field(default="", repr=False)
    tls: ssl.SSLContext | None = field(default=None, repr=False)
    replicas: int = 0
    """How many replicas must have a write before it counts as done."""

    def __str__(self) -> str:
        return self.path or f"{self.host}:{self.port}"

    def at(self, host: str, port: int) -> Address:
        """The same greeting, elsewhere."""
        return replace(self, path="", host=host, port=port)


@dataclass(frozen=True, slots=True)
class RedisUrl:
    """A parsed URL: its scheme, its servers (several for Sentinel and Cluster), and the service that Sentinel knows."""

    scheme: Scheme
    nodes: tuple[Address, ...]
    service: str = ""
    sentinel_username: str = ""
    sentinel_password: str = field(default="", repr=False)

    def sentinel(self, node: Address) -> Address:
        """How to greet the Sentinel at *node*: it has users of its own, no databases, and no replicas."""
        user, password = self.sentinel_username, self.sentinel_password
        return replace(node, username=user, password=password, database=0, replicas=0)


def parse_url(url: str) -> RedisUrl:
    """Read an operator's URL; raises `misconfigured`.

    * `redis://[user:password@]host[:port][/database]`, `rediss://…` with TLS, `unix://[user:password@]/path[?db=0]`
    * `redis+sentinel://[user:password@]host[:port][,host[:port]…]/service[/database][?sentinel_user=…&sentinel_password=…]`
    * `redis+cluster://[user:password@]host[:port][,host[:port]…]`; `rediss+…` is the same with TLS.

    `?replicas=1` has each write wait until so many replicas have it. TLS options, as paths to PEM files: `ca=`, `cert=`, `key=`.
    Names are checked against certificates.
    """
    parts = urlsplit(url)
    scheme = parts.scheme
    if scheme not in Scheme.__args__:  # type: ignore[attr-defined]
        raise _bad(
            f"{scheme or url!r} is no scheme of a Redis URL",
            "Use redis://, unix://, redis+sentinel:// or redis+cluster://; with TLS rediss://, rediss+….",
        )
    query = {name: values[-1] for name, values in parse_qs(parts.query).items()}
    login, _, hosts = parts.netloc.rpartition("@")
    username, _, password = login.partition(":")
    base = Address(
        username=unquote(username),
        password=unquote(password),
        replicas=_number(query.get("replicas", "0")),
        tls=_tls(query) if scheme.startswith("rediss") else None,
    )
    if scheme == "unix":
        if not parts.path:
            raise _bad("the URL names no socket", "Write unix:///path/to/redis.sock.")
        return RedisUrl("unix", (replace(base, path=unquote(parts.path), database=_number(query.get("db", "0"))),))
    path = [unquote(part) for part in parts.path.split("/") if part]
    service = path.pop(0) if scheme.endswith("sentinel") and path else ""
    if scheme.endswith("sentinel") and not service:
        raise _bad("the URL names no Sentinel service", "Write redis+sentinel://host:26379/mymaster.")
    base = replace(base, database=_number(path[0]) if path else 0)
    if scheme.endswith("cluster") and base.database:
        raise _bad("a cluster has database 0 only", "Leave the database out.")
    port = 26379 if service else _DEFAULT_PORT
    nodes = tuple(base.at(*_host(host, port)) for host in hosts.split(",") if host)
    if not nodes:
        raise _bad("the URL names no host", "Write redis://host:6379.")
    if len(nodes) > 1 and scheme in ("redis", "rediss"):
        raise _bad("the URL names several hosts", "Use redis+cluster:// or redis+sentinel:// for several hosts.")
    return RedisUrl(
        scheme,  # type: ignore[arg-type]
        nodes,
        service,
        query.get("sentinel_user", ""),
        query.get("sentinel_password", ""),
    )


def _host(text: str, default: int) -> tuple[str, int]:
    host, colon, port = text.rpartition(":")
    if not colon or text.endswith("]"):
        host, port = text, str(default)
    return host.strip("[]"), _number(port)


def _number(text: str) -> int:
    if not text.isdecimal():
        raise _bad(f"{text!r} is no number", "Ports, databases and replicas are numbers.")
    return int(text)


def _tls(query: dict[str, str]) -> ssl.SSLContext:
    try:
        context = ssl.create_default_context(cafile=query.get("ca"))
        if "cert" in query:
            context.load_cert_chain(query["cert"], query.get("key"))
    except OSError as error:
        raise _bad(f"the TLS files cannot be read: {error}", "Check ca=, cert= and key=.") from error
    return context


def _bad(message: str, remedy: str) -> ShowgroundError:
    return ShowgroundError("misconfigured", message, "redis.url", remedy)
