"""Which hosts run, and whether any may start: hosts and offline maintenance (backup, restore) keep out of each other's way.

* `sg:hosts:<id>` is there while a host runs, with a lease of `LEASE_S`; its value is JSON of `Running`.
* `sg:maintenance` is there while a backup or a restore goes on; its value says which. That of a backup has a lease. That of a
  restore stays until the restore is complete, so that no host ever starts on half a deployment.

A host announces itself, then looks for maintenance; maintenance takes its mark, then looks for hosts. Whoever comes second
sees the first.
"""

from __future__ import annotations

import asyncio
import logging
import os
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import msgspec

from showground.clock import Clock
from showground.errors import ShowgroundError
from showground.keys import KeySpace
from showground.model import Frozen
from showground.ops.formats import Formats, Speech
from showground.redis.api import Redis, Script
from showground.tasks import Tasks

log = logging.getLogger("showground.ops.presence")

LEASE_S = 15.0

_FREE = Script("""
if redis.call('GET', KEYS[1]) == ARGV[1] then return redis.call('DEL', KEYS[1]) end
return 0
""")


class Running(Frozen, frozen=True, kw_only=True):
    """One host, as the others see it."""

    where: str
    version: str = ""
    format: int = 1
    """The newest format that it reads (`showground.ops.formats`)."""


@asynccontextmanager
async def present(
    redis: Redis, keys: KeySpace, host_id: str, clock: Clock, speech: Speech | None = None
) -> AsyncIterator[Formats]:
    """Announce this host for as long as the block runs. Raises `not_ready` while maintenance goes on, and `misconfigured`
    when a host of this version must not share the deployment's data."""
    key = keys.host("hosts", host_id)
    speech = speech or Speech()
    formats = Formats(redis, keys, speech)
    where = f"{socket.gethostname()}, process {os.getpid()}"
    said = msgspec.json.encode(Running(where=where, version=speech.version, format=speech.newest))

    async def announce() -> None:
        await redis.call("SET", key, said, "PX", int(LEASE_S * 1000))

    async def spoken() -> list[int]:
        return [host.format for host in await running(redis, keys)]

    async def renew() -> None:
        while True:
            await clock.sleep(LEASE_S / 3)
            try:
                await announce()
                await formats.follow(spoken)
            except ShowgroundError as error:
                log.debug("the host's presence was not renewed: %s", error)

    await announce()
    try:
        mark = await redis.call("GET", keys.host("maintenance"))
        if mark is not None:
            what = bytes(mark).decode("utf-8", "replace")
            raise ShowgroundError(
                "not_ready",
                f"this deployment is under maintenance: {what}",
                "redis",
                "Wait for it to end. A restore that was cut off is done again with `showground restore --force`.",
            )
        await formats.join()
        await formats.follow(spoken)
        async with Tasks() as tasks:
            tasks.keep("presence", renew, clock.sleep)
            yield formats
    finally:
        try:
            await redis.call("DEL", key)
        except ShowgroundError as error:
            log.debug("the host's presence is left to expire: %s", error)


@asynccontextmanager
async def maintenance(
    redis: Redis, keys: KeySpace, what: str, clock: Clock, *, lasting: bool = False, again: bool = False
) -> AsyncIterator[None]:
    """Keep hosts out while the block runs. Raises `conflict` when one runs, or other maintenance does.

    With *lasting*, the mark stays when the block fails, or its process dies: nothing starts until it was done *again*.
    """
    key = keys.host("maintenance")
    lease: tuple[str | int, ...] = () if lasting else ("PX", int(LEASE_S * 1000))
    cut_off = await redis.call("GET", key) if again else None
    if await redis.call("SET", key, what, *(() if again else ("NX",)), *lease) is None:
        other = await redis.call("GET", key)
        raise ShowgroundError(
            "conflict",
            f"other maintenance goes on: {bytes(other or b'it has just ended').decode()}",
            "redis",
            "Wait for it to end. A restore that was cut off is done again with --force.",
        )

    async def renew() -> None:
        while not lasting:
            await clock.sleep(LEASE_S / 3)
            try:
                await redis.call("SET", key, what, *lease)
            except ShowgroundError as error:
                log.debug("the mark of maintenance was not renewed: %s", error)

    begun = False
    try:
        others = await hosts(redis, keys)
        if others:
            raise ShowgroundError(
                "conflict",
                f"hosts of this deployment run: {'; '.join(others)}",
                "redis",
                f"Stop them first. One that was killed counts as running for {LEASE_S:g} s.",
            )
        begun = True
        async with Tasks() as tasks:
            tasks.keep("maintenance", renew, clock.sleep)
            yield
    except BaseException:
        if cut_off is None and not (lasting and begun):
            await asyncio.shield(redis.run(_FREE, [key], [what]))
        raise
    await redis.run(_FREE, [key], [what])


async def running(redis: Redis, keys: KeySpace) -> list[Running]:
    """The hosts of this deployment that run now."""
    found = [key async for key in redis.scan(keys.host("hosts", "*"))]
    values = await redis.pipeline([("GET", key) for key in sorted(set(found))])
    return [_read(value) for value in values if isinstance(value, bytes)]


async def hosts(redis: Redis, keys: KeySpace) -> list[str]:
    """The same for people."""
    return [
        f"{host.where}, Showground {host.version}" if host.version else host.where
        for host in await running(redis, keys)
    ]


def _read(value: bytes) -> Running:
    try:
        return msgspec.json.decode(value, type=Running)
    except msgspec.DecodeError:
        return Running(where=value.decode("utf-8", "replace"))
