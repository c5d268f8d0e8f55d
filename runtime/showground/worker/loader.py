"""What a worker runs: a loader, which makes an app of a bundle. It is named to the zygote as `module:function`.

`showground.author.loading` is the loader of real apps, `showground.worker.plain` the smallest one. Where a loader's module has a
function `rehearse()`, the zygote calls it once before it forks, so that no worker has to do again what Python does at first use.
"""

from __future__ import annotations

import contextlib
import importlib
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any, Protocol

from showground.model import AppVersion, Invocation, Registration

Call = Callable[..., Awaitable[Any]]
"""`await call(member, method, *args)`: one capability call for the invocation at hand."""


class LoadedBundle(Protocol):
    """What a loader makes of a bundle."""

    @property
    def registration(self) -> Registration: ...

    async def run(self, invocation: Invocation, payload: bytes, call: Call) -> bytes:
        """Run one handler. Raises `ShowgroundError` or whatever the app raised."""
        ...


class Load(Protocol):
    """Loads the bundle in *folder*; raises `bundle_invalid` or whatever importing it raised."""

    def __call__(self, folder: Path, app: AppVersion) -> LoadedBundle: ...


def find_loader(name: str) -> Load:
    """The loader *name*, written `module:function`."""
    module, _, function = name.partition(":")
    load: Any = getattr(importlib.import_module(module), function)
    return load  # type: ignore[no-any-return]  # named by the host, not by an app


def rehearse(name: str) -> None:
    """Let the loader's module do its `rehearse`, where it has one. What fails in it fails again, and is told, in a worker."""
    rehearsal = getattr(importlib.import_module(name.partition(":")[0]), "rehearse", None)
    if rehearsal is not None:
        with contextlib.suppress(Exception):
            rehearsal()
