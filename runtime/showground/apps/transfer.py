"""Export and import of an installation: its keys with their expiry, its settings, its jobs.

An import is checked whole before anything is changed. Then, with the installation suspended on every host, what is there is kept
aside, removed, and replaced; what fails in the middle is undone from what was kept.
"""

from __future__ import annotations

import asyncio
import logging
import tempfile
from collections.abc import AsyncIterator, Sequence
from pathlib import Path
from typing import IO

import msgspec

from showground.apps.lifecycle import Lifecycle
from showground.apps.settings import AppSettings
from showground.apps.transfer_records import (
    FORMAT,
    Check,
    End,
    Header,
    JobRecord,
    KeyRecord,
    SettingRecord,
    encode,
    read,
)
from showground.capabilities import KEY_VALUE, SCHEDULER, Job
from showground.clock import Clock
from showground.errors import ShowgroundError
from showground.hookspecs import Providers
from showground.model import Frozen, Installation, Json

log = logging.getLogger("showground.apps.transfer")

LINES_AT_ONCE = 500


class Imported(Frozen, frozen=True, kw_only=True):
    """What an import wrote."""

    settings: int
    jobs: int
    keys: int


class Transfer:
    def __init__(
        self, lifecycle: Lifecycle, settings: AppSettings, providers: Providers, clock: Clock, scratch: Path
    ) -> None:
        self._lifecycle = lifecycle
        self._settings = settings
        self._providers = providers
        self._clock = clock
        self._scratch = scratch

    async def export(self, installation: Installation, *, secrets: bool = False) -> AsyncIterator[bytes]:
        """The lines of an export. No snapshot: what changes meanwhile is read as it is when its turn comes.

        Secret settings are there with *secrets* only, and then in the clear.
        """
        version = installation.version
        yield encode(
            Header(
                format=FORMAT,
                app=version.app,
                version=version.version,
                digest=version.digest,
                community=installation.community,
                exported_at_ms=self._clock.now_ms(),
                secrets=secrets,
            )
        )
        count = {"settings": 0, "jobs": 0, "keys": 0}
        for scope in ("installation", "app"):
            for spec, value in await self._settings.stored(version, scope, installation):
                if secrets or not spec.is_secret:
                    count["settings"] += 1
                    yield encode(SettingRecord(scope=spec.scope, name=spec.name, value=value))
        for job in await self._providers(SCHEDULER).list_jobs(installation.id):
            count["jobs"] += 1
            yield encode(JobRecord(job=job))
        async for found in self._providers(KEY_VALUE).export(installation.id):
            count["keys"] += 1
            expires = found.get("expires_at_ms")
            yield encode(
                KeyRecord(
                    key=found["key"],
                    type=str(found["type"]),
                    value=found["value"],
                    expires_at_ms=expires if isinstance(expires, int) else None,
                )
            )
        yield encode(End(**count))

    async def import_(self, installation: Installation, file: IO[bytes], *, actor: str = "") -> Imported:
        """Make *installation* what *file* says, and nothing else. Nobody else may change or use the file meanwhile.

        Raises `invalid` with every fault before anything is changed; `conflict` while another change is under way; what
        Redis or a quota has against it, after the old state is back.
        """
        check = Check(installation.version)
        async for lines in _batches(file):
            check.take(lines)
        check.finish()
        if check.problems:
            raise ShowgroundError(
                "invalid",
                "the file can't be imported; nothing was changed",
                installation.id,
                "Each detail names its line.",
                details=check.problems,
            )
        with tempfile.TemporaryFile(dir=self._scratch) as kept:
            async with self._lifecycle.suspended(installation.community, installation.app, actor=actor) as current:
                if current.version.digest != installation.version.digest:
                    raise ShowgroundError(
                        "conflict", "another version was installed meanwhile", installation.id, "Import again."
                    )
                async for line in self.export(current):
                    await asyncio.to_thread(kept.write, line)
                try:
                    return await self._replace(current, file)
                except BaseException as error:
                    await asyncio.shield(self._put_back(current, kept, error))
                    raise

    async def _put_back(self, installation: Installation, kept: IO[bytes], error: BaseException) -> None:
        try:
            await self._replace(installation, kept)
        except Exception as second:
            log.exception("an import into %s failed, and what was there could not be put back", installation.id)
            raise ShowgroundError(
                "internal",
                f"the import failed ({error}) and what was there before could not be put back ({second})",
                installation.id,
                "Import again: the file or an older export.",
            ) from error

    async def _replace(self, installation: Installation, file: IO[bytes]) -> Imported:
        key_value, scheduler = self._providers(KEY_VALUE), self._providers(SCHEDULER)
        await key_value.clear(installation.id)
        for job in await scheduler.list_jobs(installation.id):
            if not job.static:
                await scheduler.cancel_job(installation.id, job.id)
        values: dict[str, dict[str, Json]] = {"installation": {}, "app": {}}
        jobs = keys = 0
        async for lines in _batches(file):
            for line in lines:
                match read(line):
                    case SettingRecord(scope=scope, name=name, value=value):
                        values[scope][name] = value
                    case JobRecord(job=job):
                        # Last of all in effect: nothing of the installation runs before the import is over.
                        await scheduler.load(_owned(job, installation))
                        jobs += 1
                    case KeyRecord() as record:
                        await key_value.load(installation.id, record.loadable())
                        keys += 1
        await self._settings.load(installation.version, "installation", values["installation"], installation)
        await self._settings.load(installation.version, "app", values["app"], None)
        return Imported(settings=sum(map(len, values.values())), jobs=jobs, keys=keys)


def _owned(job: Job, installation: Installation) -> Job:
    return msgspec.structs.replace(job, installation=installation.id)


async def _batches(file: IO[bytes]) -> AsyncIterator[Sequence[bytes]]:
    """The lines from the start on, some hundred at a time, read in a thread."""

    def some() -> list[bytes]:
        lines = []
        for line in file:
            lines.append(line)
            if len(lines) == LINES_AT_ONCE:
                break
        return lines

    await asyncio.to_thread(file.seek, 0)
    while lines := await asyncio.to_thread(some):
        yield lines
