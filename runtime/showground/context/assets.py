"""`context.assets`: addresses of the files in the bundle's `assets/`."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import overload

from showground.errors import ShowgroundError


class AssetNames(frozenset[str]):
    """The paths of a bundle's assets, and the address below which the host serves them."""

    base: str = ""

    @classmethod
    def at(cls, base: str, names: Iterable[str]) -> AssetNames:
        found = cls(names)
        found.base = base
        return found


class Assets:
    """Knows the bundle's asset names, so it answers without asking the host."""

    __slots__ = ("_base", "_names")

    def __init__(self, names: frozenset[str]) -> None:
        self._names = names
        self._base = names.base if isinstance(names, AssetNames) else ""

    @overload
    def get_url(self, path: str) -> str: ...

    @overload
    def get_url(self, path: list[str] | tuple[str, ...]) -> Mapping[str, str]: ...

    def get_url(self, path: str | list[str] | tuple[str, ...]) -> str | Mapping[str, str]:
        """The address of one asset (empty when there is none of that name), or a mapping for several.

        Absolute and `data:` addresses come back unchanged. An unknown name among several raises `not_found` that names all
        unknown ones.
        """
        if isinstance(path, str):
            return self._url(path) or ""
        found = {p: self._url(p) for p in path}
        unknown = [p for p, url in found.items() if url is None]
        if unknown:
            raise ShowgroundError(
                "not_found", f"The bundle has no assets {', '.join(unknown)}", "assets", "Check their names in assets/."
            )
        return {p: url for p, url in found.items() if url is not None}

    def _url(self, path: str) -> str | None:
        if path.startswith(("https://", "http://", "data:")):
            return path
        name = path.lstrip("/")
        return f"{self._base}/{name}" if name in self._names else None
