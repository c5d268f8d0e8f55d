"""What a handler is told: a JSON object that reads as attributes and as a mapping."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

_LEAVES = frozenset({str, int, float, bool, type(None)})
"""Most values; to ask an abstract class about each of them took a fifth of a small invocation."""
_CAPITAL = re.compile(r"_([a-z0-9])")


class Event(dict[str, Any]):
    """`event.post.title`, `event["post"]["title"]`; `event.type` is the event's name.

    Fields keep Devvit's spelling; as attributes they may also be written in snake_case (`event.post.num_reports` finds
    `numReports`). A field wins over a method of `dict` of the same name, because a form's event has `values`: copy with
    `dict(event)` when a method is wanted. It is a dict, so it can be sent on or stored as JSON as it is.
    """

    if TYPE_CHECKING:
        values: Any  # a form's event has a field of this name

    def __getattribute__(self, name: str) -> Any:
        if not name.startswith("_"):
            if name in self:
                return self[name]
            camel = _CAPITAL.sub(lambda m: m[1].upper(), name)
            if camel in self:
                return self[camel]
        try:
            return super().__getattribute__(name)
        except AttributeError:
            raise AttributeError(self._missing(name), name=name, obj=self) from None

    def __missing__(self, key: str) -> Any:
        raise KeyError(self._missing(key))

    def _missing(self, name: str) -> str:
        kind = dict.get(self, "type")
        of = f"The {kind} event" if isinstance(kind, str) else "This object"
        return f"{of} has no {name!r}; it has {', '.join(sorted(self)) or 'no fields'}"


def view(value: Any) -> Any:
    """*value* as read from JSON, with every object in it an `Event`."""
    if isinstance(value, Mapping):
        event = Event(value)
        for key, one in value.items():
            if type(one) not in _LEAVES:
                event[key] = view(one)
        return event
    if isinstance(value, list | tuple):
        return [view(one) for one in value]
    return value
