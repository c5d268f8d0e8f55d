"""Which server leads, asked of Sentinels, and told by them when that changes.

https://valkey.io/topics/sentinel-clients/ is the procedure: ask any Sentinel, connect, and believe it only when the server
itself says that it is a primary.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable

from showground.errors import ShowgroundError
from showground.redis.address import Address, RedisUrl
from showground.redis.api import CommandRefused
from showground.redis.pubsub import PubSub
from showground.redis.wire import Wire, open_wire
from showground.tasks import Tasks

log = logging.getLogger("showground.redis")

ANSWER_S = 1.0
"""A Sentinel that takes longer is passed over for the next."""
SWITCHED = "+switch-master"
"""The channel of a Sentinel that tells of failovers."""


class Sentinels:
    """The Sentinels of one URL. The first that answers is asked first the next time."""

    def __init__(self, url: RedisUrl, deadline_s: float) -> None:
        self._service = url.service
        self._greeting = url.nodes[0]
        self._deadline_s = deadline_s
        self._sentinels = [url.sentinel(node) for node in url.nodes]

    async def open_master(self) -> Wire:
        """A connection to the server that leads now. Raises `store_unavailable` while there is none, also when a Sentinel
        names one that is not a primary yet or any more."""
        address = await self._locate()
        wire = await open_wire(address, self._deadline_s)
        try:
            role = (await wire.send([("ROLE",)]))[0]
        except BaseException:
            wire.abort("not used")
            raise
        if isinstance(role, CommandRefused):
            wire.abort("refused")
            raise ShowgroundError(
                "misconfigured", f"Redis at {address} refused ROLE: {role}", "redis.url", "Its ACL must allow +role."
            )
        if role[0] != b"master":
            wire.abort("not the primary")
            raise ShowgroundError(
                "store_unavailable", f"Redis at {address} is no primary yet: a failover goes on", "redis"
            )
        return wire

    async def _locate(self) -> Address:
        failure: ShowgroundError | None = None
        for sentinel in list(self._sentinels):
            try:
                wire = await self._open(sentinel)
                try:
                    async with asyncio.timeout(ANSWER_S):
                        reply = (await wire.send([("SENTINEL", "GET-MASTER-ADDR-BY-NAME", self._service)]))[0]
                finally:
                    wire.abort("not needed any more")
            except TimeoutError:
                failure = failure or ShowgroundError("store_unavailable", f"Sentinel {sentinel} is silent", "redis")
                continue
            except ShowgroundError as error:
                failure = failure or error
                continue
            if isinstance(reply, list):
                self._sentinels.remove(sentinel)
                self._sentinels.insert(0, sentinel)
                return self._greeting.at(reply[0].decode(), int(reply[1]))
            failure = ShowgroundError(
                "misconfigured",
                f"Sentinel {sentinel} knows no service {self._service!r}" + (f": {reply}" if reply else ""),
                "redis.url",
                "Check the name after the last host of the URL.",
            )
        assert failure is not None
        raise failure

    async def _open(self, sentinel: Address) -> Wire:
        return await open_wire(sentinel, min(ANSWER_S, self._deadline_s))

    async def open_any(self) -> Wire:
        """A connection to a Sentinel that answers."""
        failure: ShowgroundError | None = None
        for sentinel in list(self._sentinels):
            try:
                return await open_wire(sentinel, self._deadline_s)
            except ShowgroundError as error:
                failure = error
        assert failure is not None
        raise failure

    def watch(self, on_switch: Callable[[str], None], tasks: Tasks) -> PubSub:
        """A subscriber, for the channel `SWITCHED`, that calls *on_switch* when another server begins to lead: nobody stays
        with one that is cut off but lives. It gets `host:port` of that server, or nothing when it may have missed which."""

        def announced(channel: str, payload: bytes) -> None:
            service, *_, host, port = payload.decode().split(" ")
            if service == self._service:
                log.warning("Sentinel: %s:%s leads %s now", host, port, service)
                on_switch(f"{host}:{port}")

        return PubSub(self.open_any, announced, lambda channels: on_switch(""), self._deadline_s, tasks)
