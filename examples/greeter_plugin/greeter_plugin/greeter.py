"""The capability itself: a protocol, its key, and the provider that keeps its count in Redis."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Protocol

import msgspec

from showground.errors import ShowgroundError
from showground.hookspecs import Services
from showground.keys import CapabilityKey, InstallationId
from showground.model import Frozen

MAX_NAME = 100
KEY = "greeter:greeted"
"""Lives as long as its installation, so the plugin declares it as permanent and deletes it itself."""


class Greeter(Protocol):
    """Greets people by name and counts them, per installation and over all hosts."""

    def may_greet(self, app: str) -> bool:
        """Whether the operator lets *app* greet."""
        ...

    async def hello(self, installation: InstallationId, name: str) -> str:
        """The greeting. Each call counts one more. Errors: `invalid` (no name, or over 100 characters)."""
        ...

    async def greeted(self, installation: InstallationId) -> int:
        """How many were greeted."""
        ...

    async def clear(self, installation: InstallationId) -> None:
        """Forget the count."""
        ...


GREETER: CapabilityKey[Greeter] = CapabilityKey("greeter")


class Options(Frozen, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The section `[greeter]` of the settings."""

    greeting: str = "Hello"
    apps: tuple[str, ...] = ()
    """Apps that may greet; empty: all."""


class RedisGreeter:
    def __init__(self, services: Services, options: Options) -> None:
        self._redis = services.redis
        self._keys = services.keys
        self._options = options

    def may_greet(self, app: str) -> bool:
        return not self._options.apps or app in self._options.apps

    async def hello(self, installation: InstallationId, name: str) -> str:
        # What comes from an app is not trusted: types first, then bounds.
        if not isinstance(name, str) or not 0 < len(name) <= MAX_NAME:
            raise ShowgroundError(
                "invalid",
                "that is no name to greet",
                "context.greeter.hello",
                f"Give a text of 1 to {MAX_NAME} characters.",
            )
        number = await self._redis.call("INCR", self._keys.of(installation, KEY))
        return f"{self._options.greeting}, {name}! You are number {number}."

    async def greeted(self, installation: InstallationId) -> int:
        return int(await self._redis.call("GET", self._keys.of(installation, KEY)) or 0)

    async def clear(self, installation: InstallationId) -> None:
        await self._redis.call("DEL", self._keys.of(installation, KEY))


@asynccontextmanager
async def open_greeter(services: Services) -> AsyncIterator[Greeter]:
    """Built once, when the host starts; what comes after the `yield` would run when it stops."""
    try:
        options = msgspec.convert(services.options, Options)
    except msgspec.ValidationError as error:
        raise ShowgroundError("misconfigured", str(error), "greeter", "See the plugin's README.") from error
    yield RedisGreeter(services, options)
