"""All of an installation's data replaced by an import, or none of it, also when its host is lost in the middle.

What was there is kept first, in Redis beside it (`sg:{app:community}:kept:<n>`, a list of compressed chunks of export lines),
so that any host can put it back. Deleting that list is the moment from which the import counts: until then what was kept is the
truth, from then on what was imported. The journal says that there is something to look for (`apps.phases`).
"""

from __future__ import annotations

import zlib
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from typing import Protocol

import msgspec

from showground.apps.settings import AppSettings
from showground.apps.transfer_records import JobRecord, KeyRecord, SettingRecord, read
from showground.capabilities import KEY_VALUE, SCHEDULER, Job
from showground.hookspecs import Providers
from showground.keys import InstallationId, KeySpace
from showground.model import Frozen, Installation, Json
from showground.redis.api import Redis, Script

CHUNK_BYTES = 256 * 1024
FILLED = b"filled "
"""Begins the entry that says which app-wide settings had no value before."""

UNUSED_MS = 3_600_000
"""Until the import begins to replace, what is kept for it expires: a host that was lost or frozen leaves nothing behind."""

_PUSH = Script("""
redis.call('RPUSH', KEYS[1], ARGV[1])
redis.call('PEXPIRE', KEYS[1], ARGV[2])
""")

Hold = Callable[[], Awaitable[None]]
"""Raises `conflict` once the change is somebody else's. Called before each write, so that a host which was frozen for longer
than its lease lasts adds nothing to what another one has put back."""


class Suspension(Protocol):
    """The right to replace an installation's data, from `Lifecycle.suspended`."""

    @property
    def installation(self) -> Installation: ...

    @property
    def kept(self) -> str:
        """Unlike that of every other import."""
        ...

    @property
    def hold(self) -> Hold: ...


class Imported(Frozen, frozen=True, kw_only=True):
    """What an import wrote."""

    settings: int
    jobs: int
    keys: int


class Replacement:
    def __init__(self, redis: Redis, keys: KeySpace, settings: AppSettings, providers: Providers) -> None:
        self._redis = redis
        self._keys = keys
        self._settings = settings
        self._providers = providers

    async def keep(self, suspension: Suspension, lines: AsyncIterator[bytes]) -> None:
        """Keep *lines*, an export of what is there now. What is left of a try that failed goes by itself."""
        key = self._key(suspension.installation.id, suspension.kept)

        async def push(some: list[bytes]) -> None:
            await suspension.hold()
            chunk = zlib.compress(b"".join(some), 1)
            await self._redis.run(_PUSH, [key], [chunk, UNUSED_MS])

        waiting: list[bytes] = []
        size = 0
        async for line in lines:
            waiting.append(line)
            size += len(line)
            if size >= CHUNK_BYTES:
                await push(waiting)
                waiting, size = [], 0
        await push(waiting)
        await self._redis.call("PERSIST", key)

    async def replace(self, suspension: Suspension, lines: AsyncIterator[Sequence[bytes]]) -> Imported:
        """Make the installation what *lines* say; on return it is, for good."""
        installation, hold = suspension.installation, suspension.hold
        key = self._key(installation.id, suspension.kept)
        values, done = await self._write(installation, lines, hold)
        fresh = await self._settings.fresh(installation.version, values["app"])
        await hold()
        if fresh:
            await self._redis.call("RPUSH", key, FILLED + msgspec.msgpack.encode(fresh))
            await self._settings.fill(installation.app, fresh)
        await self._redis.call("DEL", key)
        return done

    async def put_back(self, installation: Installation, kept: str, hold: Hold) -> bool:
        key = self._key(installation.id, kept)
        if not await self._redis.call("EXISTS", key):
            return False
        await self._write(installation, self._kept(key), hold)
        for entry in await self._redis.call("LRANGE", key, -1, -1):
            if bytes(entry).startswith(FILLED):
                fresh = msgspec.msgpack.decode(bytes(entry)[len(FILLED) :], type=dict[str, bytes])
                await self._settings.withdraw(installation.app, fresh)
        await hold()
        await self._redis.call("DEL", key)
        return True

    async def drop(self, installation: InstallationId, kept: str) -> None:
        await self._redis.call("DEL", self._key(installation, kept))

    def _key(self, installation: InstallationId, kept: str) -> str:
        return self._keys.of(installation, "kept", kept)

    async def _kept(self, key: str) -> AsyncIterator[Sequence[bytes]]:
        for number in range(int(await self._redis.call("LLEN", key))):
            entry = bytes(await self._redis.call("LINDEX", key, number) or b"")
            if not entry.startswith(FILLED):
                yield zlib.decompress(entry).splitlines(keepends=True)

    async def _write(
        self, installation: Installation, lines: AsyncIterator[Sequence[bytes]], hold: Hold
    ) -> tuple[dict[str, dict[str, Json]], Imported]:
        """All but the app-wide settings, which are others' too. Nothing of the installation runs meanwhile."""
        key_value, scheduler = self._providers(KEY_VALUE), self._providers(SCHEDULER)
        await hold()
        await key_value.clear(installation.id)
        for job in await scheduler.list_jobs(installation.id):
            if not job.static:
                await scheduler.cancel_job(installation.id, job.id)
        values: dict[str, dict[str, Json]] = {"installation": {}, "app": {}}
        jobs = keys = 0
        async for some in lines:
            for line in some:
                await hold()
                match read(line):
                    case SettingRecord(scope=scope, name=name, value=value):
                        values[scope][name] = value
                    case JobRecord(job=job):
                        await scheduler.load(_owned(job, installation))
                        jobs += 1
                    case KeyRecord() as record:
                        await key_value.load(installation.id, record.loadable())
                        keys += 1
        await self._settings.load(installation.version, values["installation"], installation)
        return values, Imported(settings=sum(map(len, values.values())), jobs=jobs, keys=keys)


def _owned(job: Job, installation: Installation) -> Job:
    return msgspec.structs.replace(job, installation=installation.id)
