"""HTTP routes of apps: versions, installations, settings. `docs/operator-guide.md` lists them."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Mapping, Sequence

import msgspec
from aiohttp import web

from showground.apps.bundles import BundleStore
from showground.apps.installations import Installations
from showground.apps.lifecycle import Lifecycle
from showground.apps.records import StoredVersion
from showground.apps.secrets import SecretBox
from showground.apps.settings import AppSettings, ShownSetting
from showground.errors import ShowgroundError
from showground.hookspecs import Router
from showground.keys import installation_id
from showground.model import AppVersion, Frozen, Installation, Json

MAX_UPLOAD_BYTES = 50 * 1024 * 1024
"""The limit of `bundle.archive`, applied while the bytes arrive."""
UPLOADS_AT_ONCE = 2
UPLOAD_DEADLINE_S = 300.0
ACTOR_HEADER = "X-Showground-Actor"
"""Optional name of the person on whose behalf a tool installs; becomes `installer` in AppInstall."""

USERNAME = re.compile(r"[A-Za-z0-9_-]{1,64}")


class WantedVersion(Frozen, frozen=True, kw_only=True, forbid_unknown_fields=True):
    version: str | None = None


class AppRoutes:
    def __init__(
        self,
        bundles: BundleStore,
        installations: Installations,
        lifecycle: Lifecycle,
        settings: AppSettings,
        box: SecretBox,
    ) -> None:
        self._bundles = bundles
        self._installations = installations
        self._lifecycle = lifecycle
        self._settings = settings
        self._box = box
        self._uploads = asyncio.Semaphore(UPLOADS_AT_ONCE)

    def register(self, router: Router) -> None:
        one = "/api/v1/communities/{community}/apps/{app}"
        router("POST", "/api/v1/apps", self.upload, "deploy")
        router("GET", "/api/v1/apps", self.apps, "read")
        router("GET", "/api/v1/apps/{app}", self.app, "read")
        router("DELETE", "/api/v1/apps/{app}/versions/{version}", self.delete_version, "deploy")
        router("GET", "/api/v1/apps/{app}/settings", self.app_settings, "read")
        router("PUT", "/api/v1/apps/{app}/settings", self.put_app_settings, "deploy")
        router("POST", "/api/v1/settings/rotate-key", self.rotate_key, "admin")
        router("GET", "/api/v1/communities", self.communities, "read")
        router("GET", "/api/v1/communities/{community}/apps", self.installed, "read")
        router("GET", one, self.installation, "read")
        router("PUT", one, self.install, "deploy")
        router("DELETE", one, self.uninstall, "deploy")
        router("POST", one + "/rollback", self.rollback, "deploy")
        router("GET", one + "/settings", self.own_settings, "read")
        router("PUT", one + "/settings", self.put_own_settings, "deploy")

    # --- versions ---

    async def upload(self, request: web.Request) -> web.Response:
        """Body: the zip of a bundle. 201 with the version; the same content again gives the same answer."""
        async with self._uploads:
            try:
                async with asyncio.timeout(UPLOAD_DEADLINE_S):
                    body = await _body(request)
            except TimeoutError:
                raise ShowgroundError(
                    "bad_request", f"the bundle did not arrive within {UPLOAD_DEADLINE_S:g} s", "body", "Try again."
                ) from None
            version = await self._bundles.put(body)
        return _json(_version_json(version), 201)

    async def apps(self, request: web.Request) -> web.Response:
        names = await self._bundles.apps()
        return _json({"apps": [self._app_json(name, await self._bundles.versions(name)) for name in names]})

    async def app(self, request: web.Request) -> web.Response:
        name = request.match_info["app"]
        versions = await self._bundles.versions(name)
        if not versions:
            raise ShowgroundError("not_found", f"there is no app {name}", name, "Upload it with `showground upload`.")
        return _json(
            {
                **self._app_json(name, versions),
                "registration": msgspec.to_builtins((await self._bundles.get(name)).registration),
            }
        )

    async def delete_version(self, request: web.Request) -> web.Response:
        app, version = request.match_info["app"], request.match_info["version"]
        await self._bundles.delete(app, version, lambda: self._installations.users(app, version))
        return _json({"deleted": f"{app}@{version}"})

    # --- installations ---

    async def communities(self, request: web.Request) -> web.Response:
        return _json(
            {
                "communities": [
                    {"name": name, "apps": [i.app for i in self._installations.in_community(name)]}
                    for name in self._installations.communities()
                ]
            }
        )

    async def installed(self, request: web.Request) -> web.Response:
        found = self._installations.in_community(request.match_info["community"])
        return _json({"installations": [_installation_json(i) for i in found]})

    async def installation(self, request: web.Request) -> web.Response:
        return _json(_installation_json(self._found(request)))

    async def install(self, request: web.Request) -> web.Response:
        """Body: `{"version": "1.2.0"}`, or nothing for the newest. Installs, or upgrades or downgrades to that version."""
        community, app = request.match_info["community"], request.match_info["app"]
        raw = await request.read()
        try:
            wanted = msgspec.json.decode(raw, type=WantedVersion) if raw else WantedVersion()
        except (msgspec.DecodeError, UnicodeDecodeError) as error:
            raise ShowgroundError("invalid", str(error), "body", 'Send {"version": "1.2.0"} or nothing.') from error
        known = self._installations.get(installation_id(app, community)) is not None
        made = await self._lifecycle.install(community, app, wanted.version, actor=_actor(request))
        return _json(_installation_json(made), 200 if known else 201)

    async def rollback(self, request: web.Request) -> web.Response:
        community, app = request.match_info["community"], request.match_info["app"]
        return _json(_installation_json(await self._lifecycle.rollback(community, app, actor=_actor(request))))

    async def uninstall(self, request: web.Request) -> web.Response:
        community, app = request.match_info["community"], request.match_info["app"]
        await self._lifecycle.uninstall(community, app, actor=_actor(request))
        return _json({"uninstalled": installation_id(app, community)})

    # --- settings ---

    async def own_settings(self, request: web.Request) -> web.Response:
        found = self._found(request)
        return _json(_settings_json(await self._settings.shown(found.version, "installation", found)))

    async def put_own_settings(self, request: web.Request) -> web.Response:
        """Body: `{"name": value, …}`; null unsets. All or none."""
        found = self._found(request)
        await self._settings.put(found.version, "installation", await _values(request), found)
        return await self.own_settings(request)

    async def app_settings(self, request: web.Request) -> web.Response:
        version, _ = await self._newest(request)
        return _json(_settings_json(await self._settings.shown(version, "app", None)))

    async def put_app_settings(self, request: web.Request) -> web.Response:
        version, installation = await self._newest(request)
        await self._settings.put(version, "app", await _values(request), installation)
        return await self.app_settings(request)

    async def rotate_key(self, request: web.Request) -> web.Response:
        """Make a new key, where the key is a file of this host, and encrypt every secret anew under the newest key."""
        if self._box.from_file:
            await asyncio.to_thread(self._box.add_key)
        return _json({"secrets": await self._settings.rotate()})

    # --- inside ---

    def _found(self, request: web.Request) -> Installation:
        community, app = request.match_info["community"], request.match_info["app"]
        found = self._installations.get(installation_id(app, community))
        if found is None:
            raise ShowgroundError("not_found", f"{app} is not installed in {community}", "app")
        return found

    async def _newest(self, request: web.Request) -> tuple[AppVersion, Installation | None]:
        """The version whose app-wide fields count, the newest, and an installation of it if there is one."""
        version = await self._bundles.get(request.match_info["app"])
        running = [i for i in self._installations.all() if i.app == version.app]
        return version, next((i for i in running if i.version.digest == version.digest), None)

    def _app_json(self, name: str, versions: Sequence[StoredVersion]) -> dict[str, object]:
        return {
            "name": name,
            "versions": [
                {
                    "version": stored.version.version,
                    "digest": stored.version.digest,
                    "bytes": stored.bytes,
                    "uploaded_at_ms": stored.uploaded_at_ms,
                }
                for stored in versions
            ],
            "communities": [i.community for i in self._installations.all() if i.app == name],
        }


def _version_json(version: AppVersion) -> dict[str, object]:
    return {"app": version.app, "version": version.version, "digest": version.digest}


def _installation_json(installation: Installation) -> dict[str, object]:
    return {
        "id": installation.id,
        "app": installation.app,
        "community": installation.community,
        "version": installation.version.version,
        "digest": installation.version.digest,
        "installed_at_ms": installation.installed_at_ms,
        "revision": installation.revision,
    }


def _settings_json(settings: Sequence[ShownSetting]) -> dict[str, object]:
    return {
        "settings": [
            {
                "name": s.name,
                "label": s.label,
                "type": s.type,
                "scope": s.scope,
                "secret": s.is_secret,
                "set": s.is_set,
                "value": s.value,
                "default": s.default,
                "help_text": s.help_text,
                "group": s.group,
                "options": [{"label": label, "value": value} for label, value in s.options],
            }
            for s in settings
        ]
    }


async def _values(request: web.Request) -> Mapping[str, Json]:
    try:
        return msgspec.json.decode(await request.read(), type=dict[str, Json])
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise ShowgroundError("invalid", str(error), "body", 'Send {"name": value, …}.') from error


async def _body(request: web.Request) -> bytes:
    """The whole body, refused at the first byte over the limit; `request.read` would have the limit of ordinary bodies."""
    declared = request.content_length
    if declared is not None and declared > MAX_UPLOAD_BYTES:
        raise _too_large()
    body = bytearray()
    async for chunk in request.content.iter_chunked(256 * 1024):
        body += chunk
        if len(body) > MAX_UPLOAD_BYTES:
            raise _too_large()
    if not body:
        raise ShowgroundError("invalid", "the body is empty", "body", "Send the zip of a bundle.")
    return bytes(body)


def _too_large() -> ShowgroundError:
    return ShowgroundError("too_large", "the bundle is too large", "body", f"At most {MAX_UPLOAD_BYTES} bytes, packed.")


def _actor(request: web.Request) -> str:
    name = request.headers.get(ACTOR_HEADER, "")
    if name and not USERNAME.fullmatch(name):
        raise ShowgroundError("invalid", "that is no user name", ACTOR_HEADER, "Use letters, digits, _ and -.")
    return name


def _json(document: object, status: int = 200) -> web.Response:
    return web.Response(
        body=msgspec.json.encode(document),
        status=status,
        content_type="application/json",
        headers={"Cache-Control": "no-store"},
    )
