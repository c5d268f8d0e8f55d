"""Bytes that all hosts of a deployment share and nobody else knows, for signing what browsers carry."""

from __future__ import annotations

import secrets

from showground.apps.secrets import SecretBox
from showground.keys import KeySpace
from showground.redis.api import Redis

SECRET_BYTES = 32


async def deployment_secret(redis: Redis, keys: KeySpace, box: SecretBox) -> bytes:
    """The deployment's secret; the first host to ask makes it. In Redis it is encrypted, under the newest key from now on."""
    key = keys.host("deployment-secret")
    fresh = box.seal("deployment", "secret", secrets.token_hex(SECRET_BYTES))
    await redis.call("SET", key, fresh, "NX")
    sealed = bytes(await redis.call("GET", key)).decode()
    found = bytes.fromhex(box.open("deployment", "secret", sealed))
    await redis.call("SET", key, box.reseal(sealed))
    return found


async def renew_deployment_secret(redis: Redis, keys: KeySpace, box: SecretBox) -> None:
    """The same secret under the newest key, so that older keys may be thrown away without a restart in between."""
    key = keys.host("deployment-secret")
    sealed = await redis.call("GET", key)
    if sealed is not None:
        await redis.call("SET", key, box.reseal(bytes(sealed).decode()))
