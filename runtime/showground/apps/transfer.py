"""Export and import of an installation: its keys with their expiry, its settings, its jobs.

An import is checked whole before anything is changed. Then, with the installation suspended on every host, what is there is kept
aside, removed, and replaced; what fails in the middle is undone from what was kept (`apps.replacement`).
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence
from typing import IO

from showground.apps.lifecycle import Lifecycle
from showground.apps.replacement import Imported, Replacement
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
)
from showground.capabilities import KEY_VALUE, SCHEDULER
from showground.clock import Clock
from showground.errors import ShowgroundError
from showground.hookspecs import Providers
from showground.model import Installation

LINES_AT_ONCE = 500


class Transfer:
    def __init__(
        self,
        lifecycle: Lifecycle,
        replacement: Replacement,
        settings: AppSettings,
        providers: Providers,
        clock: Clock,
    ) -> None:
        self._lifecycle = lifecycle
        self._replacement = replacement
        self._settings = settings
        self._providers = providers
        self._clock = clock

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
        async with self._lifecycle.suspended(installation.community, installation.app, actor=actor) as suspension:
            current = suspension.installation
            if current.version.digest != installation.version.digest:
                raise ShowgroundError(
                    "conflict", "another version was installed meanwhile", installation.id, "Import again."
                )
            await self._replacement.keep(suspension, self.export(current))
            await suspension.replacing()
            return await self._replacement.replace(suspension, _batches(file))


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
