"""Install, upgrade, roll back, uninstall: each step durable before the next, each crash finished or undone.

This module decides what may change and writes it to the journal, in the same atomic step as the record; `phases` does the rest,
for a change of this host or for one that another host left behind.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Protocol

import msgspec

from showground.apps.installations import Installations
from showground.apps.journal import Journal
from showground.apps.phases import EmitTo, ImportUndo, LifecycleHooks, Phases, Surroundings
from showground.apps.records import HISTORY, InstallationRecord, Lease, Step, StepKind, Veto
from showground.clock import Clock
from showground.errors import ShowgroundError
from showground.keys import InstallationId, installation_id
from showground.model import AppVersion, HostEvent, Installation

log = logging.getLogger("showground.apps.lifecycle")


class Versions(Protocol):
    """What the life cycle asks of the bundle store."""

    async def get(self, app: str, version: str | None = None) -> AppVersion:
        """The stored version, or the newest; raises `not_found`."""
        ...


class Suspension:
    """An installation whose data may be replaced now."""

    def __init__(self, installation: Installation, journal: Journal, lease: Lease, step: Step) -> None:
        self.installation = installation
        self.kept = step.kept
        """Under which name what was there is kept."""
        self.step = step
        self.hold = journal.holding(lease)
        """Raises `conflict` once another host has taken over; call it before each write."""
        self._journal = journal
        self._lease = lease

    async def replacing(self) -> None:
        """What was there is kept; from now on the data are neither the old nor the new."""
        step = msgspec.structs.replace(self.step, phase="replacing")
        await self._journal.advance(self._lease, step)
        self.step = step


class Lifecycle:
    """The only writer of installation records. Changes of one installation are serialised over all hosts."""

    def __init__(
        self,
        installations: Installations,
        journal: Journal,
        versions: Versions,
        clock: Clock,
        *,
        hooks: LifecycleHooks,
        emit_to: EmitTo,
        clear_deliveries: Callable[[InstallationId], Awaitable[None]],
        veto: Veto,
        undo: ImportUndo | None = None,
        observe: Callable[[HostEvent], None] = lambda event: None,
        hook_deadline_s: float = 20.0,
        uninstall_deadline_s: float = 35.0,
        recovery_pause_s: float = 5.0,
    ) -> None:
        self._installations = installations
        self._journal = journal
        self._versions = versions
        self._clock = clock
        self._veto = veto
        self._phases = Phases(
            installations,
            journal,
            clock,
            Surroundings(
                hooks,
                emit_to,
                clear_deliveries,
                observe,
                hook_deadline_s=hook_deadline_s,
                uninstall_deadline_s=uninstall_deadline_s,
                cleanup_pause_s=recovery_pause_s,
                undo=undo,
            ),
        )

    async def install(self, community: str, app: str, version: str | None = None, *, actor: str = "") -> Installation:
        """Install *app* (its newest version unless told otherwise), or bring an installation to that version.

        The same version again changes nothing and is no error. Errors: `not_found` (version), `bundle_invalid` (a plugin
        refuses it), `conflict` (another change is under way), `plugin_error` (a hook failed; the change was undone).
        """
        key = installation_id(app, community)
        wanted = await self._versions.get(app, version)
        async with self._changing(key) as lease:
            record = lease.record
            if record is not None and record.installation.version.digest == wanted.digest:
                await self._journal.finish(lease)
                await self._installations.refresh()
                return record.installation
            self._refuse_vetoed(wanted, "bundle_invalid")
            return await self._change(lease, wanted, actor, self._history_after(record))

    async def rollback(self, community: str, app: str, *, actor: str = "") -> Installation:
        """Return to the version that ran before. Raises `conflict`, with the reason, when there is none or it can't run any
        more: it was deleted, or something that it declares is no longer granted or present."""
        key = installation_id(app, community)
        async with self._changing(key) as lease:
            record = self._existing(lease)
            if not record.history:
                raise ShowgroundError(
                    "conflict", "there is no earlier version to return to", key, "Install a version by its number."
                )
            target = record.history[-1]
            try:
                wanted = await self._versions.get(app, target)
            except ShowgroundError as error:
                if error.code != "not_found":
                    raise
                raise ShowgroundError(
                    "conflict", f"version {target} is no longer stored", key, "Upload it again, or install another."
                ) from error
            self._refuse_vetoed(wanted, "conflict")
            return await self._change(lease, wanted, actor, record.history[:-1])

    async def uninstall(self, community: str, app: str, *, actor: str = "") -> None:
        """Remove *app* from *community*, with everything that it stored. AppUninstall is handled before anything is removed.

        When this raises `plugin_error`, the app is uninstalled and only a plugin's clean-up is still to be repeated.
        """
        async with self._changing(installation_id(app, community)) as lease:
            record = self._existing(lease)
            step = Step(
                kind="uninstall",
                phase="leaving",
                installation=record.installation,
                actor=actor,
                event_id=_event_id(lease),
            )
            await self._journal.advance(lease, step, msgspec.structs.replace(record, leaving=True))
            await self._phases.finish(lease, step)

    @asynccontextmanager
    async def suspended(self, community: str, app: str, *, actor: str = "") -> AsyncIterator[Suspension]:
        """Replace an installation's data while none of its code runs on any host; deliveries are tried again afterwards.

        When the block begins, every host knows; capability calls of handlers that still run are refused from then on. Its
        posts are drawn anew at the end. From `Suspension.replacing` on, a block that fails is undone by `put_back`, and so is
        one whose host is lost, by another host. Raises `not_found`, or `conflict` when another change is under way.
        """
        async with self._changing(installation_id(app, community)) as lease:
            record = self._existing(lease)
            installation = msgspec.structs.replace(record.installation, revision=record.installation.revision + 1)
            after = msgspec.structs.replace(record, installation=installation)
            step = Step(
                kind="import",
                phase="suspended",
                installation=installation,
                before=after,
                actor=actor,
                kept=str(lease.fence),
            )
            await self._journal.advance(lease, step, msgspec.structs.replace(record, suspended=True))
            await self._installations.refresh()
            suspension = Suspension(installation, self._journal, lease, step)
            try:
                await self._clock.sleep(1.5 * self._installations.poll_s)
                yield suspension
            except BaseException:
                # Shielded: what was begun is undone also when whoever asked has gone.
                await asyncio.shield(self._phases.finish(lease, suspension.step))
                raise
            await self._journal.finish(lease, after)
            await self._installations.refresh()
            log.info("import into %s by %s is done", installation.id, actor or "an operator")

    async def recover(self) -> int:
        """Finish or undo what hosts left in the middle; returns how many changes were taken over.

        Called at start and every few seconds. A change whose host is alive holds its lease and is left alone. What can't be
        finished now is logged and left for the next call; no `ShowgroundError` is raised.
        """
        try:
            unfinished = await self._journal.unfinished()
        except ShowgroundError as error:
            log.warning("whether changes are unfinished is not known: %s", error)
            return 0
        taken = 0
        for key in unfinished:
            try:
                taken += await self._take_over(key)
            except ShowgroundError as error:
                log.error("an unfinished change of %s: %s", key, error)
        return taken

    # --- one change ---

    @asynccontextmanager
    async def _changing(self, key: InstallationId) -> AsyncIterator[Lease]:
        """Hold a lease with nothing unfinished under it: what a lost host left is finished or undone first."""
        lease = await self._journal.acquire(key)
        if lease.step is not None:
            async with self._holding(lease):
                await self._phases.finish(lease, lease.step)
            lease = await self._journal.acquire(key)
        async with self._holding(lease):
            yield lease

    @asynccontextmanager
    async def _holding(self, lease: Lease) -> AsyncIterator[None]:
        """Keep the lease while the block runs. When it fails, the lease is given back: a change that was refused before it
        began is as if it had never been, and one that began is left to recovery."""
        try:
            async with self._journal.held(lease):
                yield
        except BaseException:
            try:
                await asyncio.shield(self._journal.give_back(lease))
            except ShowgroundError as error:
                log.debug("the lease on %s is over, or left to expire: %s", lease.id, error)
            raise

    async def _take_over(self, key: InstallationId) -> int:
        try:
            lease = await self._journal.acquire(key, unfinished=True)
        except ShowgroundError as error:
            if error.code == "conflict":
                return 0
            raise
        assert lease.step is not None
        log.warning("taking over an unfinished %s of %s", lease.step.kind, key)
        try:
            async with self._holding(lease):
                await self._phases.finish(lease, lease.step)
        except ShowgroundError as error:
            log.error("the unfinished %s of %s: %s", lease.step.kind, key, error)
        return 1

    async def _change(self, lease: Lease, wanted: AppVersion, actor: str, history: tuple[str, ...]) -> Installation:
        before = lease.record
        app, community = lease.id.split(":")
        installation = Installation(
            id=lease.id,
            app=app,
            community=community,
            version=wanted,
            installed_at_ms=before.installation.installed_at_ms if before else self._clock.now_ms(),
            revision=before.installation.revision + 1 if before else 1,
        )
        kind: StepKind = "upgrade" if before else "install"
        step = Step(
            kind=kind,
            phase="recorded",
            installation=installation,
            before=before,
            actor=actor,
            event_id=_event_id(lease),
        )
        record = InstallationRecord(
            installation=installation, installer=before.installer if before else actor, history=history
        )
        await self._journal.advance(lease, step, record)
        await self._installations.refresh()
        # A version may be deleted while it is being installed. The deletion looks for installations after it removed the
        # version, and we look for the version after we wrote the record: at least one of us sees the other and yields.
        try:
            stored = await self._versions.get(app, wanted.version)
            if stored.digest != wanted.digest:
                raise ShowgroundError("not_found", f"version {wanted.version} was replaced meanwhile", app)
        except ShowgroundError as error:
            if error.code == "not_found":
                await self._phases.undo(lease, step)
            raise
        await self._phases.finish(lease, step)
        return installation

    # --- small decisions ---

    def _existing(self, lease: Lease) -> InstallationRecord:
        if lease.record is None:
            app, _, community = lease.id.partition(":")
            raise ShowgroundError("not_found", f"{app} is not installed in {community}", lease.id)
        return lease.record

    def _refuse_vetoed(self, version: AppVersion, code: str) -> None:
        problems = self._veto(version, version.registration)
        if problems:
            raise ShowgroundError(
                code,
                f"{version.app} {version.version} can't run on this host as it is now",
                version.app,
                "Each detail names what is missing.",
                details=tuple(problems),
            )

    def _history_after(self, record: InstallationRecord | None) -> tuple[str, ...]:
        if record is None:
            return ()
        return (*record.history, record.installation.version.version)[-HISTORY:]


def _event_id(lease: Lease) -> str:
    """Unique to this change, for ever: fences only grow, also over an uninstall and a new install."""
    return f"lifecycle:{lease.id}:{lease.fence}"
