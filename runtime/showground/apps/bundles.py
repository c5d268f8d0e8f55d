"""The bundle store: immutable versions of apps, addressed by the digest of their content, in Redis and so on every host.

* `sg:bundle:<digest>` is a hash of the packed bundle in parts of 1 MB, fields `0`, `1`, …
* `sg:app:<app>` is a hash from version to JSON of `StoredVersion`; writing its field is what makes a version exist.
* `sg:apps` is the set of app names.

Parts get an expiry when they are written and lose it before and again after the version exists, so a host that is lost in the
middle of an upload leaves nothing behind for ever, and a version that exists never expires.
"""

from __future__ import annotations

import asyncio
import re
from collections.abc import Awaitable, Callable, Sequence
from pathlib import Path

import msgspec

from showground.apps.folders import Folders
from showground.apps.records import StoredVersion, Veto
from showground.clock import Clock
from showground.errors import ShowgroundError
from showground.keys import KeySpace
from showground.model import AppVersion, Registration
from showground.redis.api import CommandRefused, Redis, Script

PART_BYTES = 1024 * 1024
UNFINISHED_S = 3600
"""How long the parts of an upload that never ended stay."""

Check = Callable[[Path, AppVersion], Awaitable[Registration]]
"""The supervisor's: load the bundle in a throw-away worker and say what it registered."""
_ADD = Script("""
if redis.call('HSETNX', KEYS[1], ARGV[1], ARGV[2]) == 1 then return false end
return redis.call('HGET', KEYS[1], ARGV[1])
""")


class BundleStore:
    """Versions of apps. `put` is idempotent: the same content again is the same version."""

    def __init__(
        self, redis: Redis, keys: KeySpace, clock: Clock, folders: Folders, *, check: Check, veto: Veto
    ) -> None:
        self._redis = redis
        self._keys = keys
        self._clock = clock
        self._folders = folders
        self._check = check
        self._veto = veto
        self._stored = msgspec.json.Decoder(StoredVersion)
        self._fetching: dict[str, asyncio.Lock] = {}

    async def put(self, source: bytes | Path) -> AppVersion:
        """Store a bundle, given as the bytes of a zip, the path of a zip, or a folder.

        Checked before anything is stored: archive and manifest, then the code by loading it once, then the plugins' word.
        Errors: `bundle_invalid` with every fault, `app_load_failed`, `too_large`, `conflict` when this version of the app
        exists with other content.
        """
        digest, manifest, packed = await asyncio.to_thread(self._folders.adopt, source)
        version = AppVersion(
            app=manifest.name, version=manifest.version, digest=digest, entry=manifest.entry, limits=manifest.limits
        )
        known = await self._read(version.app, version.version)
        if known is not None:
            return self._same(known, version)
        registration = await self._check(self._folders.path(digest), version)
        problems = self._veto(version, registration)
        if problems:
            raise ShowgroundError(
                "bundle_invalid",
                f"{version.app} {version.version} asks for what this host does not grant",
                version.app,
                "Each detail names the plugin's reason and the remedy.",
                details=tuple(problems),
            )
        version = msgspec.structs.replace(version, registration=registration)
        await self._write_parts(digest, packed)
        stored = StoredVersion(version=version, bytes=len(packed), uploaded_at_ms=self._clock.now_ms())
        await self._redis.call("SADD", self._keys.host("apps"), version.app)
        other = await self._redis.run(
            _ADD, [self._keys.host("app", version.app)], [version.version, msgspec.json.encode(stored)]
        )
        await self._redis.call("PERSIST", self._bundle_key(digest))
        return self._same(self._stored.decode(other), version) if other else version

    async def get(self, app: str, version: str | None = None) -> AppVersion:
        """One version of *app*, or its newest: the highest release, or the highest pre-release where there is no release.

        Raises `not_found`.
        """
        if version is not None:
            known = await self._read(app, version)
            if known is None:
                raise ShowgroundError(
                    "not_found",
                    f"there is no version {version} of {app}",
                    app,
                    "`showground list` shows what is there.",
                )
            return known.version
        versions = await self.versions(app)
        if not versions:
            raise ShowgroundError("not_found", f"there is no app {app}", app, "Upload it with `showground upload`.")
        return max(
            versions, key=lambda s: (not is_prerelease(s.version.version), version_order(s.version.version))
        ).version

    async def versions(self, app: str) -> Sequence[StoredVersion]:
        """Every version of *app*, lowest first; empty for an unknown app."""
        values = await self._redis.call("HVALS", self._keys.host("app", app))
        return sorted((self._stored.decode(v) for v in values), key=lambda s: version_order(s.version.version))

    async def apps(self) -> Sequence[str]:
        """Names of the apps that have a version, sorted."""
        names = sorted(bytes(n).decode() for n in await self._redis.call("SMEMBERS", self._keys.host("apps")))
        sizes = await self._redis.pipeline([("HLEN", self._keys.host("app", n)) for n in names])
        return [name for name, size in zip(names, sizes, strict=True) if size]

    async def folder(self, digest: str) -> Path:
        """The unpacked bundle on this host: read-only, verified against *digest*, made once and kept.

        Safe while other processes and hosts that share the data folder do the same. Raises `not_found` when the store no
        longer has it.
        """
        path = self._folders.path(digest)
        if self._folders.ready(digest):
            return path
        lock = self._fetching.setdefault(digest, asyncio.Lock())
        try:
            async with lock:
                if not self._folders.ready(digest):
                    packed = await self._read_parts(digest)
                    await asyncio.to_thread(self._folders.materialise, digest, packed)
        finally:
            if not lock.locked():
                self._fetching.pop(digest, None)
        return path

    async def delete(self, app: str, version: str, installed: Callable[[], Awaitable[Sequence[str]]]) -> None:
        """Delete one version. Raises `conflict` while it is installed anywhere, `not_found` when it is not here.

        *installed* tells which installations run it, read from Redis at that moment. The version is taken away first and
        put back if it turns out to be installed; an installation that begins meanwhile looks for it again and yields.
        """
        known = await self._read(app, version)
        if known is None:
            raise ShowgroundError("not_found", f"there is no version {version} of {app}", app)
        key = self._keys.host("app", app)
        users = await installed()
        if not users:
            await self._redis.call("HDEL", key, version)
            users = await installed()
            if users:
                await self._redis.call("HSETNX", key, version, msgspec.json.encode(known))
        if users:
            raise ShowgroundError(
                "conflict",
                f"version {version} of {app} is installed in {', '.join(sorted(users)[:10])}",
                app,
                "Uninstall it there, or install another version first.",
            )
        await self._let_expire(known.version.digest)

    async def sweep(self) -> int:
        """Let parts that belong to no version expire, and see that no others do; returns how many bundles expire.

        Called at start and now and then. Safe beside uploads, deletions and other sweeps.
        """
        known = await self._digests()
        await self._redis.pipeline([("PERSIST", self._bundle_key(digest)) for digest in known])
        prefix = self._bundle_key("")
        swept = 0
        async for key in self._redis.scan(prefix + "*"):
            digest = bytes(key).decode().removeprefix(prefix)
            if digest not in known and await self._redis.call("TTL", key) < 0:
                swept += await self._let_expire(digest)
        await asyncio.to_thread(self._folders.tidy, self._clock.now_ms() / 1000)
        return swept

    # --- inside ---

    def _bundle_key(self, digest: str) -> str:
        return self._keys.host("bundle", digest)

    async def _read(self, app: str, version: str) -> StoredVersion | None:
        value = await self._redis.call("HGET", self._keys.host("app", app), version)
        return self._stored.decode(value) if value else None

    def _same(self, known: StoredVersion, wanted: AppVersion) -> AppVersion:
        if known.version.digest == wanted.digest:
            return known.version
        raise ShowgroundError(
            "conflict",
            f"version {wanted.version} of {wanted.app} exists with other content",
            "app.json/version",
            "Versions never change: raise the version and upload again.",
        )

    async def _let_expire(self, digest: str) -> bool:
        """Give the parts an hour, unless a version has them after all.

        An upload that makes the version exist before our look is seen by it; one that does so later persists its parts then.
        """
        key = self._bundle_key(digest)
        await self._redis.call("EXPIRE", key, UNFINISHED_S)
        if digest not in await self._digests():
            return True
        await self._redis.call("PERSIST", key)
        return False

    async def _write_parts(self, digest: str, packed: bytes) -> None:
        key = self._bundle_key(digest)
        for number, start in enumerate(range(0, len(packed), PART_BYTES)):
            part = packed[start : start + PART_BYTES]
            for reply in await self._redis.pipeline([("HSET", key, str(number), part), ("EXPIRE", key, UNFINISHED_S)]):
                if isinstance(reply, CommandRefused):
                    raise ShowgroundError("store_unavailable", f"Redis refused a part of the bundle: {reply}")
        await self._redis.call("PERSIST", key)

    async def _read_parts(self, digest: str) -> bytes:
        key = self._bundle_key(digest)
        parts: list[bytes] = []
        for number in range(int(await self._redis.call("HLEN", key))):
            part = await self._redis.call("HGET", key, str(number))
            if part is None:
                break
            parts.append(part)
        if not parts:
            raise ShowgroundError("not_found", f"the store has no bundle {digest[:12]}", digest, "Upload it again.")
        return b"".join(parts)

    async def _digests(self) -> set[str]:
        return {s.version.digest for app in await self.apps() for s in await self.versions(app)}


def is_prerelease(version: str) -> bool:
    return "-" in version.partition("+")[0]


def version_order(version: str) -> tuple[tuple[int, ...], bool, tuple[tuple[int, int | str], ...]]:
    """A key that sorts versions: `1.2.10` after `1.2.9`, a pre-release before its release, `1.2.3.4` (playtest) after `1.2.3`.

    As Semantic Versioning 2.0 section 11 says, and any number of numbers.
    """
    core, _, pre = version.partition("+")[0].partition("-")
    numbers = tuple(int(n) for n in re.findall(r"\d+", core))
    tail = tuple((0, int(p)) if p.isdigit() else (1, p) for p in pre.split(".")) if pre else ()
    return numbers, not pre, tail
