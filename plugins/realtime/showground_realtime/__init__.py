"""The built-in realtime plugin: channels of an installation, on every host at once.

It comes in by the public hooks only; docs/realtime.md describes what it gives to authors, pages and scripts.
"""

from __future__ import annotations

from collections.abc import Awaitable

from showground.capabilities import REALTIME
from showground.errors import ShowgroundError
from showground.hookspecs import Commands, Extend, Offer, Providers, Router, hookimpl
from showground.model import Installation, Invocation
from showground_realtime.channels import open_memory, open_redis
from showground_realtime.commands import listen
from showground_realtime.endpoints import Endpoints
from showground_realtime.requests import compact_json


def own_name(invocation: Invocation, channel: str) -> str:
    """The bare name of a channel that is given bare or in full, `app:community:name`. Raises `forbidden` for a foreign one."""
    owner, _, name = channel.rpartition(":")
    if owner and owner != invocation.installation:
        raise ShowgroundError(
            "forbidden",
            f"{channel!r} is not a channel of {invocation.installation}",
            "realtime.send",
            "Give the bare name of one of the app's own channels.",
        )
    return name


@hookimpl
def provide(offer: Offer) -> None:
    offer(REALTIME, "redis", open_redis)
    offer(REALTIME, "memory", open_memory)


@hookimpl
def context(invocation: Invocation, extend: Extend, providers: Providers) -> None:
    async def send(channel: str, data: bytes) -> str:
        """Publish JSON *data*; returns the message's position. A worker is not trusted, so its JSON is checked."""
        realtime = providers(REALTIME)
        if len(data) <= realtime.limits.message_bytes:
            data = compact_json(data)
        return str(await realtime.publish(invocation.installation, own_name(invocation, channel), data))

    extend("realtime", {"send": send}, needs="realtime")


@hookimpl
def uninstalled(installation: Installation, providers: Providers) -> Awaitable[None]:
    return providers(REALTIME).clear(installation.id)


@hookimpl
def routes(router: Router, providers: Providers) -> None:
    Endpoints(providers, router.origin_allowed).add_to(router)


@hookimpl
def commands(cli: Commands) -> None:
    cli(listen)
