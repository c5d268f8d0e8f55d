"""Runs a bundle's handlers: payload in, result out, both JSON."""

from __future__ import annotations

import asyncio
import inspect
import logging
from collections.abc import Mapping, Sequence
from typing import Any

import msgspec

from showground.author.records import Handler
from showground.context.context import Context
from showground.context.event import Event, view
from showground.errors import ShowgroundError

log = logging.getLogger("showground.app")


def read_event(payload: bytes, kind: str, name: str) -> Event:
    """The event that a handler gets. A trigger's has `type`; a job's has `name` and `data` (None when none was given)."""
    value = msgspec.json.decode(payload) if payload else None
    event: Event = view(value if isinstance(value, Mapping) else {"data": value} if value is not None else {})
    if kind == "trigger":
        event["type"] = name
    elif kind == "job":
        event["name"] = name
        dict.setdefault(event, "data", None)  # a field may hide the method
    return event


async def call_handler(handler: Handler, *arguments: object) -> Any:
    """Call a plain or an async handler."""
    result = handler(*arguments)
    return await result if inspect.isawaitable(result) else result


async def call_together(handlers: Sequence[Handler], payload: bytes, name: str, context: Context) -> Any:
    """Start all handlers of one event, each with an event of its own, and wait for all.

    Returns the one handler's result, or the list of several. One failure is raised as it is; several are joined, a line each.
    """
    if len(handlers) == 1:
        return await call_handler(handlers[0], read_event(payload, "trigger", name), context)
    results = await asyncio.gather(
        *(call_handler(handler, read_event(payload, "trigger", name), context) for handler in handlers),
        return_exceptions=True,
    )
    failures = [r for r in results if isinstance(r, BaseException)]
    if len(failures) == 1:
        raise failures[0]
    if failures:
        for failure in failures:
            log.error("a handler of %s failed", name, exc_info=failure)
        raise ShowgroundError(
            "app_error", "\n".join(f"{type(f).__name__}: {f}" for f in failures), f"trigger {name}"
        ) from BaseExceptionGroup(f"handlers of {name}", failures)
    return results if any(r is not None for r in results) else None


def encode_result(result: Any, what: str) -> bytes:
    """JSON of what a handler returned. What is no JSON is logged and dropped: its work is done, so failing would repeat it."""
    try:
        return msgspec.json.encode(result)
    except (TypeError, ValueError) as error:
        log.warning("%s returned something that is no JSON, so its result is null: %s", what, error)
        return b"null"
