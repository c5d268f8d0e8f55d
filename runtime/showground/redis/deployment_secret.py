"""Bytes that all hosts of a deployment share and nobody else knows, for signing what browsers carry."""

from __future__ import annotations

import secrets

from showground.keys import KeySpace
from showground.redis.api import Redis

SECRET_BYTES = 32


async def deployment_secret(redis: Redis, keys: KeySpace) -> bytes:
    """The deployment's secret; the first host to ask makes it."""
    key = keys.host("secret-key")
    await redis.call("SET", key, secrets.token_bytes(SECRET_BYTES), "NX")
    found: bytes = await redis.call("GET", key)
    return found
