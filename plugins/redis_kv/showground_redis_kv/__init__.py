"""The built-in redis_kv plugin: `context.redis`, Redis commands over an installation's own keys.

It comes in by the public hooks only; docs/redis.md describes what it gives to authors and operators.
"""

from __future__ import annotations

from collections.abc import Awaitable

from showground.capabilities import KEY_VALUE
from showground.hookspecs import Commands, Extend, Offer, Providers, Router, hookimpl
from showground.model import Installation, Invocation
from showground_redis_kv.api import Api
from showground_redis_kv.cli import kv
from showground_redis_kv.member import Member
from showground_redis_kv.memory.provider import open_memory
from showground_redis_kv.redis import open_redis


@hookimpl
def provide(offer: Offer) -> None:
    offer(KEY_VALUE, "redis", open_redis)
    offer(KEY_VALUE, "memory", open_memory)
    offer.permanent("kv:*", "kv-used")


@hookimpl
def context(invocation: Invocation, extend: Extend, providers: Providers) -> None:
    extend("redis", Member(invocation, providers(KEY_VALUE)).methods, needs="redis")


@hookimpl
def uninstalled(installation: Installation, providers: Providers) -> Awaitable[object]:
    return providers(KEY_VALUE).clear(installation.id)


@hookimpl
def routes(router: Router, providers: Providers) -> None:
    Api(providers).add_to(router)


@hookimpl
def commands(cli: Commands) -> None:
    cli(kv)
