"""`context.<member>` for members that a plugin adds: any method goes to the plugin."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any

from showground.context.call import Call


class Member:
    """`await context.greeter.hello("x")` calls `hello` of the member `greeter` in the host.

    Positional arguments only, because that is what travels. Errors: `not_found` when no plugin has such a member or method,
    `not_configured` when the app did not configure it.
    """

    __slots__ = ("_call", "_name")

    def __init__(self, name: str, call: Call) -> None:
        self._name = name
        self._call = call

    def __getattr__(self, method: str) -> Callable[..., Awaitable[Any]]:
        if method.startswith("_"):
            raise AttributeError(method)

        async def ask(*args: object) -> Any:
            return await self._call(self._name, method, *args)

        ask.__qualname__ = ask.__name__ = method
        return ask

    def __repr__(self) -> str:
        return f"<context.{self._name}>"
