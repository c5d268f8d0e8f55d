"""JSON values of an app: checked and copied where they enter the state, copied where they leave it."""

from __future__ import annotations

import math
from typing import Any

from showground.ui.faults import fault

_PLAIN = frozenset({str, int, float, bool, type(None)})
_MOST_INT = 2**63
MAX_DEPTH = 64


def fresh(value: Any) -> Any:
    """A copy that shares no list and no dict with *value*, which is known to be JSON."""
    kind = value.__class__
    if kind in _PLAIN:
        return value
    if kind is list:
        return value.copy() if _PLAIN.issuperset(map(type, value)) else [fresh(item) for item in value]
    if _PLAIN.issuperset(map(type, value.values())):
        return value.copy()
    return {name: fresh(item) for name, item in value.items()}


def json_value(value: Any, what: str) -> Any:
    """*value* as JSON data of its own: tuples become lists. Raises `app_error` that names the place within *value*."""
    try:
        return _json(value, 0)
    except _NotJson as error:
        place = "".join(reversed(error.path))
        raise fault(
            f"{what}{place} is {error.what}, and only JSON can be kept",
            "Use text, whole numbers up to 64 bits, floats, True, False, None, lists, and dicts with text as keys.",
        ) from None


class _NotJson(Exception):
    def __init__(self, what: str) -> None:
        super().__init__(what)
        self.what = what
        self.path: list[str] = []


def _json(value: Any, depth: int) -> Any:
    kind = value.__class__
    if kind is str or kind is bool or value is None:
        return value
    if kind is int:
        if not -_MOST_INT <= value < 2 * _MOST_INT:
            raise _NotJson("a whole number of more than 64 bits")
        return value
    if kind is float:
        if not math.isfinite(value):
            raise _NotJson(str(value))
        return value
    if depth > MAX_DEPTH:
        raise _NotJson(f"nested more than {MAX_DEPTH} deep")
    if isinstance(value, list | tuple):
        found: list[Any] = []
        for index, item in enumerate(value):
            try:
                found.append(_json(item, depth + 1))
            except _NotJson as error:
                error.path.append(f"[{index}]")
                raise
        return found
    if isinstance(value, dict):
        result: dict[str, Any] = {}
        for name, item in value.items():
            if not isinstance(name, str):
                raise _NotJson(f"a dict with the key {name!r}")
            try:
                result[str(name)] = _json(item, depth + 1)
            except _NotJson as error:
                error.path.append(f"[{name!r}]")
                raise
        return result
    if isinstance(value, str):
        return str(value)
    if isinstance(value, int):
        return int(value)
    raise _NotJson(f"a {kind.__name__}")
