"""The one way out of a worker: a capability call to the host."""

from __future__ import annotations

from typing import Any, Protocol


class Call(Protocol):
    """`await call("redis", "get", "name")`.

    Arguments and results are what msgpack carries: None, bool, int, float, str, bytes, lists and maps with string keys.
    Raises the `ShowgroundError` that came back. The invocation's deadline bounds the wait.
    """

    async def __call__(self, member: str, method: str, /, *args: object) -> Any: ...
