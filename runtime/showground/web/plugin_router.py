"""The router that plugins get: their routes about an installation answer only while it is installed."""

from __future__ import annotations

from collections.abc import Awaitable, Callable

from aiohttp import web

from showground.errors import ShowgroundError
from showground.hookspecs import Router
from showground.keys import InstallationId, installation_id
from showground.web.auth import Handler

SHARED = "*"
IsInstalled = Callable[[InstallationId], bool]


class PluginRouter:
    """A `hookspecs.Router` over the host's. A path with `{community}` and `{app}` is about an installation."""

    def __init__(self, router: Router, is_installed: IsInstalled) -> None:
        self._router = router
        self._is_installed = is_installed
        self.files = router.files
        self.on_drain = router.on_drain
        self.origin_allowed = router.origin_allowed

    def __call__(
        self,
        method: str,
        path: str,
        handler: Callable[[web.Request], Awaitable[web.StreamResponse]],
        scope: str | None,
    ) -> None:
        about_one = "{community}" in path and "{app}" in path
        self._router(method, path, self._if_installed(handler) if about_one else handler, scope)

    def _if_installed(self, handler: Handler) -> Handler:
        async def serve(request: web.Request) -> web.StreamResponse:
            app, community = request.match_info["app"], request.match_info["community"]
            # `*` stands for what an app shares over all communities, which outlives its installations.
            if community != SHARED and not self._is_installed(installation_id(app, community)):
                raise ShowgroundError(
                    "not_found", f"{app} is not installed in {community}", "app", "Install the app first."
                )
            return await handler(request)

        return serve
