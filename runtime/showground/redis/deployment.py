"""From an operator's setting to an open `Redis`: the one place that knows which kinds of deployment there are."""

from __future__ import annotations

import logging
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

from showground.errors import ShowgroundError
from showground.redis.address import RedisUrl, parse_url
from showground.redis.api import CommandRefused, Redis
from showground.redis.client import open_led, open_single
from showground.redis.cluster import open_cluster
from showground.redis.embedded import EmbeddedRedis
from showground.redis.server import Fsync

log = logging.getLogger("showground.redis")

OLDEST = 7


@asynccontextmanager
async def open_redis(
    url: str | None, data_dir: Path, *, fsync: Fsync = "everysec", deadline_s: float = 5.0
) -> AsyncIterator[Redis]:
    """Open the deployment's Redis: the embedded server in *data_dir* when *url* is None or empty, else the one at *url*.

    *deadline_s* bounds every command and every connection attempt. Raises `misconfigured` (URL, login, version, a folder in
    use) or `store_unavailable` (not reachable, data not loaded in time). *fsync* is for the embedded server only.
    """
    if not url:
        async with (
            EmbeddedRedis(data_dir, fsync=fsync) as embedded,
            _open(parse_url(embedded.url), deadline_s) as redis,
        ):
            yield redis
        return
    async with _open(parse_url(url), deadline_s) as redis:
        await _check(redis, parse_url(url))
        yield redis


@asynccontextmanager
async def _open(url: RedisUrl, deadline_s: float) -> AsyncIterator[Redis]:
    if url.scheme.endswith("sentinel"):
        opened = open_led(url, deadline_s)
    elif url.scheme.endswith("cluster"):
        opened = open_cluster(url.nodes, deadline_s)
    else:
        opened = open_single(url.nodes[0], deadline_s)
    async with opened as redis:
        yield redis


async def _check(redis: Redis, url: RedisUrl) -> None:
    """Refuse what cannot work, warn of what will hurt. An ACL that hides INFO or CONFIG costs only the check."""
    try:
        info = _fields(await redis.call("INFO", "server"))
    except CommandRefused:
        return
    version = info.get("redis_version", "")
    if version.partition(".")[0].isdecimal() and int(version.partition(".")[0]) < OLDEST:
        raise ShowgroundError(
            "misconfigured", f"Redis at {url.nodes[0]} is version {version}", "redis.url", f"Use {OLDEST} or newer."
        )
    if info.get("redis_mode") == "cluster" and not url.scheme.endswith("cluster"):
        raise ShowgroundError(
            "misconfigured", f"Redis at {url.nodes[0]} is part of a cluster", "redis.url", "Write redis+cluster://."
        )
    try:
        memory = _fields(await redis.call("INFO", "memory"))
        persistence = _fields(await redis.call("INFO", "persistence"))
    except CommandRefused:
        return
    if memory.get("maxmemory", "0") != "0" and memory.get("maxmemory_policy", "noeviction") != "noeviction":
        log.warning("Redis may evict keys (%s); set maxmemory-policy noeviction", memory["maxmemory_policy"])
    if persistence.get("aof_enabled") == "0":
        log.warning("Redis has no append-only file: what it acknowledged is lost when it dies; set appendonly yes")


def _fields(info: bytes) -> dict[str, str]:
    pairs = (line.partition(":") for line in info.decode("utf-8", "replace").splitlines())
    return {name: value.strip() for name, colon, value in pairs if colon}
