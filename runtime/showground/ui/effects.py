"""What a handler wants the viewer to see besides the post itself, collected while it runs and sent when it ends well."""

from __future__ import annotations

from typing import Any

import msgspec

MAX_EFFECTS = 64
"""Per event; what goes beyond is an error in the app's loop, not something a viewer can read."""


class Effects:
    """A list without repetitions: the same toast, form or address asked for twice in one event is shown once.

    Two toasts that differ both survive; Devvit merges all toasts that were given as objects.
    """

    def __init__(self) -> None:
        self._found: dict[bytes, dict[str, Any]] = {}

    def add(self, effect: dict[str, Any], once: str | None = None) -> None:
        """Add *effect*. With *once*, a later effect of the same name takes the place of an earlier one."""
        key = once.encode() if once is not None else msgspec.json.encode(effect, order="deterministic")
        if key in self._found:
            del self._found[key]
        elif len(self._found) >= MAX_EFFECTS:
            return
        self._found[key] = effect

    def __bool__(self) -> bool:
        return bool(self._found)

    def __len__(self) -> int:
        return len(self._found)

    def take(self, other: Effects) -> None:
        """Append what *other* collected."""
        for effect in other._found.values():
            self.add(effect)

    def all(self) -> list[dict[str, Any]]:
        """JSON values, in the order in which they are shown."""
        return list(self._found.values())

    def encode(self) -> bytes | None:
        """JSON list for the browser; None when there is nothing."""
        return msgspec.json.encode(self.all()) if self._found else None

    def result(self) -> bytes:
        """`{"effects": [...]}`: the answer of an invocation of kind `menu` or `form`."""
        return msgspec.json.encode({"effects": self.all()})
