"""Calling an app's handlers: plain or async, with as many arguments as they want."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from types import FunctionType
from typing import Any


async def call(handler: Callable[..., Any], *arguments: Any) -> Any:
    """The handler's result, awaited if need be."""
    result = handler(*arguments)
    if inspect.isawaitable(result):
        result = await result
    return result


def needs_argument(handler: Callable[..., Any]) -> bool:
    """Whether *handler* cannot be called without a positional argument. `lambda i=i: …` can."""
    if handler.__class__ is FunctionType:
        code = handler.__code__
        return code.co_argcount > len(handler.__defaults__ or ())
    try:
        parameters = inspect.signature(handler).parameters.values()
    except (TypeError, ValueError):
        return False
    positional = (inspect.Parameter.POSITIONAL_ONLY, inspect.Parameter.POSITIONAL_OR_KEYWORD)
    return any(p.kind in positional and p.default is p.empty for p in parameters)
