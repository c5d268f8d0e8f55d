"""`app.json`: what a bundle says about itself before any of its code runs.

Reading is light on purpose, because every worker does it. Full checking against the published JSON Schema is in
`showground.bundle.schema` and happens in the host and in `showground check`.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Final

import msgspec

from showground.errors import Problem, ShowgroundError
from showground.model import Frozen, Json, Limits, StaticJob

FILE: Final = "app.json"

DEFAULT_PERMISSIONS: Final[Mapping[str, Json]] = {
    "redis": True,
    "realtime": True,
    "reddit": True,
    "media": True,
    "http": False,
    "user_actions": False,
}
"""What stays within the community of the installation is permitted unless the manifest says no. What leaves the host
(`http`), what acts in a member's name (`user_actions`) and what a stranger's plugin offers must be asked for in writing,
so that an operator can see it before installing."""


OPTIONS: Final[Mapping[str, str]] = {
    "redis": "redis",
    "kv_store": "redis",
    "realtime": "realtime",
    "reddit": "reddit",
    "reddit_api": "reddit",
    "media": "media",
    "http": "http",
    "user_actions": "user_actions",
}
"""What an author may write in `configure` → the permission that it needs."""


class HandlerLimit(Frozen, frozen=True, kw_only=True):
    """What one trigger or job may use; wins over what the code says."""

    timeout_s: float | None = None
    max_attempts: int | None = None


class Manifest(Frozen, frozen=True, kw_only=True):
    """The content of `app.json`; `docs/author-guide.md` describes each field."""

    name: str
    version: str = "0.0.0"
    entry: str = "main.py"
    description: str = ""
    assets: str = "assets"
    permissions: Mapping[str, Json] = {}
    settings: tuple[Mapping[str, Json], ...] = ()
    jobs: tuple[StaticJob, ...] = ()
    handlers: Mapping[str, HandlerLimit] = {}
    """Keys are `trigger:<event>` and `job:<name>`."""
    limits: Limits = Limits()

    def permission(self, option: str) -> Json:
        """What the manifest says of *option*, or the default; None when neither knows it."""
        return self.permissions.get(option, DEFAULT_PERMISSIONS.get(option))

    @property
    def http_domains(self) -> tuple[str, ...]:
        """The hosts that `configure` may name."""
        http = self.permissions.get("http")
        domains = http.get("domains") if isinstance(http, Mapping) else None
        return tuple(str(d) for d in domains) if isinstance(domains, list) else ()

    def handler_limit(self, kind: str, name: str) -> HandlerLimit:
        return self.handlers.get(f"{kind}:{name}", HandlerLimit())


def decode_manifest(data: bytes) -> Manifest:
    """Read *data* without the schema check, for content that was checked before. Raises `bundle_invalid`."""
    try:
        return msgspec.json.decode(data, type=Manifest)
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise ShowgroundError(
            "bundle_invalid",
            "The manifest cannot be read",
            FILE,
            details=(Problem(FILE, str(error), "Run `showground check` for the whole list."),),
        ) from error


def trusted_manifest(folder: Path) -> Manifest:
    """Read the `app.json` of a bundle that was checked before, as a worker does. Raises `bundle_invalid`."""
    return decode_manifest(manifest_bytes(folder))


def manifest_bytes(folder: Path) -> bytes:
    """The bytes of `app.json` in *folder*. Raises `bundle_invalid` when there is none."""
    try:
        return (folder / FILE).read_bytes()
    except OSError as error:
        raise ShowgroundError(
            "bundle_invalid",
            "The bundle has no manifest",
            FILE,
            details=(
                Problem(
                    FILE,
                    f"cannot be read: {error.strerror}",
                    'Add app.json with at least {"name": "my-app", "version": "0.1.0"}.',
                ),
            ),
        ) from error
