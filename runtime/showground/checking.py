"""Load a bundle once in a worker of its own, without a host: what `showground check` does after its reading of the files."""

from __future__ import annotations

import asyncio
from pathlib import Path

from showground.bundle.schema import load_manifest
from showground.clock import SystemClock
from showground.errors import Problem, ShowgroundError
from showground.model import AppVersion, Registration
from showground.plugins import Plugins, find_plugins
from showground.supervisor.broker import Broker
from showground.supervisor.supervisor import Supervisor


async def check_bundle(folder: Path) -> Registration:
    """What the bundle in *folder* registers. Raises `bundle_invalid` with every fault, the plugins' vetoes included, or
    `app_load_failed`."""
    folder = await asyncio.to_thread(folder.resolve)
    manifest = load_manifest(folder)
    app = AppVersion(
        app=manifest.name, version=manifest.version, digest="unpacked", entry=manifest.entry, limits=manifest.limits
    )
    plugins = Plugins(find_plugins())
    async with Supervisor(Broker(plugins), SystemClock(), on_log=lambda record: None) as supervisor:
        registration = await supervisor.check(folder, app)
    vetoes: list[Problem] = plugins.registered(app, registration)
    if vetoes:
        raise ShowgroundError("bundle_invalid", f"{app.app} is refused by plugins", str(folder), details=vetoes)
    return registration
