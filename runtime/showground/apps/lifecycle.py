"""Install, upgrade, roll back, uninstall: each step durable before the next, each crash finished or undone.

A change goes through these phases, written to the journal in the same atomic step as the record:

* install, upgrade: *recorded* (the record stands) ▸ plugins' hooks ▸ *hooked* ▸ AppInstall or AppUpgrade is enqueued ▸ done.
  A hook that fails undoes the record; a crash while *recorded* runs the hooks again, so hooks must be idempotent.
* uninstall: *leaving* (no new events) ▸ AppUninstall is handled, or given up at its deadline ▸ *clearing* (the record is gone) ▸
  plugins' hooks and the queue clean up ▸ done. Clean-up that fails is tried again later, with growing pauses.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager
from typing import Protocol

import msgspec

from showground.apps.installations import Installations
from showground.apps.journal import Journal
from showground.apps.records import HISTORY, InstallationRecord, Lease, Step, StepKind, Veto
from showground.clock import Clock
from showground.errors import ShowgroundError
from showground.keys import InstallationId, installation_id
from showground.model import AppVersion, HostEvent, Installation, Json

log = logging.getLogger("showground.apps.lifecycle")

MAX_CLEANUP_TRIES = 10


class Versions(Protocol):
    """What the life cycle asks of the bundle store."""

    async def get(self, app: str, version: str | None = None) -> AppVersion:
        """The stored version, or the newest; raises `not_found`."""
        ...


class LifecycleHooks(Protocol):
    """The plugins' hooks, all of them together. Each is called at least once per change, so all are idempotent."""

    async def installed(self, installation: Installation) -> None: ...

    async def upgraded(self, installation: Installation, previous: Installation) -> None: ...

    async def uninstalled(self, installation: Installation) -> None: ...


class EmitTo(Protocol):
    async def __call__(
        self, installation: Installation, type: str, data: Mapping[str, Json], *, event_id: str, wait_s: float = 0.0
    ) -> None:
        """Enqueue one event for one installation if its app has a trigger for it; durable on return, deduped by *event_id*.

        With *wait_s*, return when it has been handled, given up, or *wait_s* seconds have passed, whichever is first.
        """
        ...


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
        observe: Callable[[HostEvent], None] = lambda event: None,
        hook_deadline_s: float = 20.0,
        uninstall_deadline_s: float = 35.0,
        recovery_pause_s: float = 5.0,
    ) -> None:
        self._installations = installations
        self._journal = journal
        self._versions = versions
        self._clock = clock
        self._hooks = hooks
        self._emit_to = emit_to
        self._clear_deliveries = clear_deliveries
        self._veto = veto
        self._observe = observe
        self._hook_deadline_s = hook_deadline_s
        self._uninstall_deadline_s = uninstall_deadline_s
        self._recovery_pause_s = recovery_pause_s

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
            await self._finish_uninstall(lease, step)

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
                await self._resume(lease, lease.step)
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
            lease = await self._journal.acquire(key)
        except ShowgroundError as error:
            if error.code == "conflict":
                return 0
            raise
        if lease.step is None:
            await self._journal.give_back(lease)
            return 0
        log.warning("taking over an unfinished %s of %s", lease.step.kind, key)
        try:
            async with self._holding(lease):
                await self._resume(lease, lease.step)
        except ShowgroundError as error:
            log.error("the unfinished %s of %s: %s", lease.step.kind, key, error)
        return 1

    async def _resume(self, lease: Lease, step: Step) -> None:
        if step.kind == "uninstall":
            await self._finish_uninstall(lease, step)
        else:
            await self._finish_change(lease, step)

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
                await self._undo(lease, step)
            raise
        await self._finish_change(lease, step)
        return installation

    async def _finish_change(self, lease: Lease, step: Step) -> None:
        installation = step.installation
        await self._installations.refresh()
        if step.phase == "recorded":
            try:
                async with asyncio.timeout(self._hook_deadline_s):
                    if step.before is None:
                        await self._hooks.installed(installation)
                    else:
                        await self._hooks.upgraded(installation, step.before.installation)
            except Exception as error:
                await self._undo(lease, step)
                raise _plugin_error(error, f"{step.kind} of {lease.id} was undone", self._hook_deadline_s) from error
            step = msgspec.structs.replace(step, phase="hooked")
            await self._journal.advance(lease, step)
        event = "AppInstall" if step.kind == "install" else "AppUpgrade"
        try:
            await self._emit_to(installation, event, _payload(step), event_id=step.event_id)
        except ShowgroundError as error:
            # A full queue or an absent Redis passes, and recovery tries again; what is refused for good would be for ever.
            if not error.kind.temporary:
                await self._undo(lease, step)
            raise
        await self._journal.finish(lease)
        self._tell(step)

    async def _undo(self, lease: Lease, step: Step) -> None:
        """Bring plugins and record back to before the change. Plugins see the reverse change, as far as they answer."""
        try:
            async with asyncio.timeout(self._hook_deadline_s):
                if step.before is None:
                    await self._hooks.uninstalled(step.installation)
                else:
                    await self._hooks.upgraded(step.before.installation, step.installation)
        except Exception as error:
            log.error("a plugin did not take back its part of the %s of %s: %s", step.kind, lease.id, error)
        if step.before is None:
            await self._journal.finish(lease, remove=True)
            await self._clear_deliveries(lease.id)
        else:
            await self._journal.finish(lease, step.before)
        await self._installations.refresh()

    async def _finish_uninstall(self, lease: Lease, step: Step) -> None:
        installation = step.installation
        if step.phase == "leaving":
            await self._installations.refresh()
            try:
                async with asyncio.timeout(self._uninstall_deadline_s + 5):
                    await self._emit_to(
                        installation,
                        "AppUninstall",
                        _payload(step),
                        event_id=step.event_id,
                        wait_s=self._uninstall_deadline_s,
                    )
            except Exception as error:
                # An app must not be able to prevent its own removal, whatever it does with the event.
                log.warning("AppUninstall of %s was given up: %s", lease.id, error)
            step = msgspec.structs.replace(step, phase="clearing")
            await self._journal.remove_record(lease, step)
            await self._installations.refresh()
            # Until each host knows, a host may still run the app, and the app may write what is cleared next.
            await self._clock.sleep(1.5 * self._installations.poll_s)
        try:
            async with asyncio.timeout(self._hook_deadline_s):
                await self._clear_deliveries(lease.id)
                await self._hooks.uninstalled(installation)
        except Exception as error:
            failures = step.failures + 1
            if failures >= MAX_CLEANUP_TRIES:
                log.error("clean-up after %s is given up after %s tries: %s", lease.id, failures, error)
                await self._journal.finish(lease)
                return
            await self._journal.advance(lease, msgspec.structs.replace(step, failures=failures))
            await self._journal.give_back(lease, min(300.0, self._recovery_pause_s * 2 ** (failures - 1)))
            raise _plugin_error(
                error, f"{lease.id} is uninstalled; its clean-up will be repeated", self._hook_deadline_s
            ) from error
        await self._journal.finish(lease)
        self._tell(step)

    # --- small decisions ---

    def _tell(self, step: Step) -> None:
        """The audit trail: one line in the host's log and one event for observers, when a change is done."""
        installation = step.installation
        log.info(
            "%s of %s %s by %s is done",
            step.kind,
            installation.id,
            installation.version.version,
            step.actor or "an operator",
        )
        labels = {"app": installation.app, "kind": step.kind}
        self._observe(HostEvent(name=f"app_{step.kind}", at_ms=self._clock.now_ms(), labels=labels))

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


def _payload(step: Step) -> dict[str, Json]:
    """`subreddit` and `installer`, as Devvit's AppInstall and AppUpgrade carry them."""
    community = step.installation.community
    return {
        "subreddit": {"id": f"t5_{community.lower()}", "name": community, "permalink": f"/r/{community}/"},
        "installer": {"id": f"t2_{step.actor.lower()}" if step.actor else "", "name": step.actor},
    }


def _plugin_error(error: Exception, outcome: str, deadline_s: float) -> ShowgroundError:
    if isinstance(error, TimeoutError):
        return ShowgroundError("plugin_error", f"a plugin's hook took longer than {deadline_s:g} s: {outcome}")
    if isinstance(error, ShowgroundError):
        return ShowgroundError(
            error.code, f"{error.message}: {outcome}", error.where, error.remedy, error.retry_after, error.details
        )
    return ShowgroundError("plugin_error", f"a plugin's hook failed ({error}): {outcome}")
