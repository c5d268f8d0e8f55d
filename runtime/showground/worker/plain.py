"""The smallest loader: the entry is one Python file with `async def run(invocation, payload, call) -> bytes`.

It shows what a loader owes to the worker, and lets the worker and the supervisor be tested and measured without the SDK.
A module may also set `REGISTRATION`.
"""

from __future__ import annotations

import importlib.util
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from showground.errors import ShowgroundError
from showground.model import AppVersion, Invocation, Registration
from showground.worker.loader import Call


@dataclass(frozen=True)
class PlainBundle:
    registration: Registration
    handler: Any

    async def run(self, invocation: Invocation, payload: bytes, call: Call) -> bytes:
        result: bytes = await self.handler(invocation, payload, call)
        return result


def load_bundle(folder: Path, app: AppVersion) -> PlainBundle:
    spec = importlib.util.spec_from_file_location(f"_plain_{app.digest[:12]}", folder / app.entry)
    if spec is None or spec.loader is None:
        raise ShowgroundError("bundle_invalid", f"{app.entry} is not a Python file", "app.json/entry")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return PlainBundle(getattr(module, "REGISTRATION", Registration()), module.run)
