"""Which addresses a request may reach: resolved once, refused if any of them is not public, and connected to as resolved.

Checking the very addresses that the connection then uses leaves no room for DNS rebinding: there is no second look-up.
"""

from __future__ import annotations

import ipaddress
import socket
from collections.abc import Collection

from aiohttp.abc import AbstractResolver, ResolveResult
from aiohttp.resolver import ThreadedResolver

from showground.errors import ShowgroundError

_NAT64 = ipaddress.ip_network("64:ff9b::/96")


def is_public(address: str) -> bool:
    """Whether *address* is a unicast address of the public internet, looking into IPv6 forms that embed an IPv4 address."""
    ip = ipaddress.ip_address(address.partition("%")[0])
    if isinstance(ip, ipaddress.IPv6Address):
        embedded = ip.ipv4_mapped or ip.sixtofour or (ip.teredo[1] if ip.teredo else None)
        if embedded is None and ip in _NAT64:
            embedded = ipaddress.IPv4Address(int(ip) & 0xFFFFFFFF)
        if embedded is not None:
            return is_public(str(embedded))
    return ip.is_global and not ip.is_multicast and not ip.is_reserved


class PublicResolver(AbstractResolver):
    """Resolves names, and refuses one that has any address that is not public, unless the operator named it in *private*."""

    def __init__(self, private: Collection[str], inner: AbstractResolver | None = None) -> None:
        self._private = frozenset(private)
        self._inner = inner or ThreadedResolver()

    async def resolve(
        self, host: str, port: int = 0, family: socket.AddressFamily = socket.AF_UNSPEC
    ) -> list[ResolveResult]:
        found = await self._inner.resolve(host, port, family)
        if host not in self._private:
            for address in found:
                if not is_public(address["host"]):
                    raise ShowgroundError(
                        "forbidden",
                        f"{host} resolves to {address['host']}, which is not a public address",
                        "fetch",
                        "Operators permit hosts of their own network in the settings: [http] private_hosts.",
                    )
        return found

    async def close(self) -> None:
        await self._inner.close()
