"""`context.settings`: the values of the app's settings, of the right types."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from showground.context.call import Call


class Settings:
    """Values of this installation, then of the app; a setting without a value gives its default, or None.

    A number is an int or float, a boolean a bool, a select a list of strings. (Devvit reads the text "false" of an app
    setting as true; here it is false.)
    """

    __slots__ = ("_call",)

    def __init__(self, call: Call) -> None:
        self._call = call

    async def get(self, name: str) -> Any:
        """The value of *name*. Errors: `not_found` when the app declares no such setting."""
        return await self._call("settings", "get", name)

    async def get_all(self) -> Mapping[str, Any]:
        """Every declared setting with its value or default."""
        values: Mapping[str, Any] = await self._call("settings", "get_all")
        return values
