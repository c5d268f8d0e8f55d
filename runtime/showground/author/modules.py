"""Imports a bundle's modules under private names, so that two bundles with equal module names live in one process.

A bundle's folder becomes a private package. `from . import helpers` works as in any package. `import helpers` works because
each module of the bundle gets builtins of its own whose `__import__` looks into the bundle first, as a script's folder comes
first for a script. Only source is compiled; no byte code is read or written, so what was checked is what runs, and a
read-only folder will do.
"""

from __future__ import annotations

import builtins
import importlib
import secrets
import sys
from collections.abc import Mapping, Sequence
from importlib.machinery import (
    EXTENSION_SUFFIXES,
    SOURCE_SUFFIXES,
    ExtensionFileLoader,
    FileFinder,
    ModuleSpec,
    SourceFileLoader,
)
from pathlib import Path
from types import CodeType, ModuleType
from typing import Any

RESERVED = frozenset({"showground"})


class BundleModules:
    """The modules of one bundle. A context manager: leaving it forgets them."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.package = f"_bundle_{secrets.token_hex(6)}"
        self._own = own_modules(folder)
        self._builtins = {**vars(builtins), "__import__": self._import}
        self._finders: dict[str, FileFinder] = {}

    def open(self) -> None:
        root = ModuleType(self.package)
        root.__path__ = [str(self.folder)]
        root.__spec__ = ModuleSpec(self.package, None, is_package=True)
        sys.modules[self.package] = root
        sys.meta_path.insert(0, self)

    def close(self) -> None:
        """Forget the modules. Functions that were taken from them go on working."""
        if self in sys.meta_path:
            sys.meta_path.remove(self)
        for name in [n for n in sys.modules if n == self.package or n.startswith(f"{self.package}.")]:
            del sys.modules[name]

    def load(self, entry: str) -> ModuleType:
        """Import *entry* (`main.py`, `src/app.py`). Raises whatever its code raises."""
        dotted = entry.removesuffix(".py").replace("/", ".")
        return importlib.import_module(f"{self.package}.{dotted}")

    def find_spec(
        self, name: str, path: Sequence[str] | None = None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        """`sys.meta_path` protocol: only names below the private package are ours."""
        if not name.startswith(f"{self.package}."):
            return None
        for place in path or ():
            spec = self._finder(place).find_spec(name, target)
            if spec is not None:
                return spec
        return None

    def _finder(self, place: str) -> FileFinder:
        finder = self._finders.get(place)
        if finder is None:
            own = self._builtins

            class Loader(_SourceLoader):
                builtins = own

            finder = self._finders[place] = FileFinder(
                place, (ExtensionFileLoader, EXTENSION_SUFFIXES), (Loader, SOURCE_SUFFIXES)
            )
        return finder

    def _import(
        self,
        name: str,
        globals: Mapping[str, Any] | None = None,
        locals: Mapping[str, Any] | None = None,
        fromlist: Sequence[str] | None = (),
        level: int = 0,
    ) -> ModuleType:
        top = name.partition(".")[0]
        if level != 0 or top not in self._own:
            return builtins.__import__(name, globals, locals, fromlist or (), level)
        private = f"{self.package}.{name}"
        if fromlist:
            return builtins.__import__(private, globals, locals, fromlist, 0)
        importlib.import_module(private)
        return sys.modules[f"{self.package}.{top}"]


class _SourceLoader(SourceFileLoader):
    builtins: dict[str, Any]

    def exec_module(self, module: ModuleType) -> None:
        vars(module)["__builtins__"] = self.builtins
        super().exec_module(module)

    def get_code(self, fullname: str) -> CodeType:
        return self.source_to_code(self.get_data(self.path), self.path)


def own_modules(folder: Path) -> frozenset[str]:
    """Top-level names that `import` finds in the bundle before it looks elsewhere."""
    names = set()
    for item in folder.iterdir():
        if item.suffix == ".py" and item.is_file():
            names.add(item.stem)
        elif item.is_dir() and item.name.isidentifier() and any(item.glob("*.py")):
            names.add(item.name)
    return frozenset(names) - RESERVED
