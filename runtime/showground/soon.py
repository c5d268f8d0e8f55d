"""A result that is on its way already, and needs no task to be waited for."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any, Generic, TypeVar

T = TypeVar("T")
U = TypeVar("U")


class Soon(Generic[T]):
    """Put a callback on `future`, and call `result` when it is done.

    What is asked of Redis thousands of times a second is answered so: a coroutine would need a task that waits (4 µs,
    2026-11-24).
    """

    __slots__ = ("_convert", "future")

    def __init__(self, future: asyncio.Future[Any], convert: Callable[[Any], T]) -> None:
        self.future = future
        self._convert = convert

    def result(self) -> T:
        """Of a future that is done. Raises what it or the conversion raises."""
        return self._convert(self.future.result())

    def then(self, convert: Callable[[T], U]) -> Soon[U]:
        before = self._convert
        return Soon(self.future, lambda value: convert(before(value)))


class Quick:
    """A capability method that often need not be waited for. Called, it gives a coroutine like any other; *soon*, with the same
    arguments, a result that is on its way, or None, and nothing was done, when that cannot be had."""

    __slots__ = ("_method", "soon")

    def __init__(self, method: Callable[..., Awaitable[Any]], soon: Callable[..., Soon[Any] | None]) -> None:
        self._method = method
        self.soon = soon

    def __call__(self, *args: Any) -> Awaitable[Any]:
        return self._method(*args)
