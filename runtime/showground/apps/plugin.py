"""What this package offers to apps, through the same hooks as any plugin: `context.settings`, and clean-up after an uninstall."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from showground.apps.installations import Installations
from showground.apps.setting_fields import spec_problems
from showground.apps.settings import AppSettings
from showground.errors import Problem, ShowgroundError
from showground.hookspecs import Extend, Providers, hookimpl
from showground.keys import InstallationId
from showground.model import AppVersion, Installation, Invocation, Registration
from showground.ops.logs import AppLogs


class AppsPlugin:
    """Register it under the name `apps`."""

    def __init__(self, installations: Installations, settings: AppSettings, logs: AppLogs) -> None:
        self._installations = installations
        self._settings = settings
        self._logs = logs

    @hookimpl
    def registered(self, app: AppVersion, registration: Registration) -> Sequence[Problem]:
        return [problem for spec in registration.settings for problem in spec_problems(spec)]

    @hookimpl
    def context(self, invocation: Invocation, app: AppVersion, extend: Extend, providers: Providers) -> None:
        find = self._finder(invocation.installation)

        async def get(name: str) -> Any:
            return await self._settings.get(find(), name)

        async def get_all() -> Any:
            return await self._settings.get_all(find())

        extend("settings", {"get": get, "get_all": get_all}, needs="settings")

    @hookimpl
    async def uninstalled(self, installation: Installation, providers: Providers) -> None:
        await self._settings.clear(installation)
        await self._logs.clear(installation.id)

    def _finder(self, key: InstallationId) -> Callable[[], Installation]:
        def find() -> Installation:
            found = self._installations.get(key)
            if found is None:
                raise ShowgroundError("not_found", f"{key} is no longer installed", "context.settings")
            return found

        return find
