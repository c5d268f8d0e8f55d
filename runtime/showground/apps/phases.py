"""What is left of a change once it is in the journal: the same code finishes it here and takes it over from a lost host.

* install, upgrade: *recorded* (the record stands) ▸ plugins' hooks ▸ *hooked* ▸ AppInstall or AppUpgrade is enqueued ▸ done.
  A hook that fails undoes the record; a crash while *recorded* runs the hooks again, so hooks must be idempotent.
* import: *suspended* (no code runs) ▸ what was there is kept ▸ *replacing* ▸ what was kept is dropped: done. A crash while
  *replacing* puts back what was kept, if it is still there; see `apps.replacement`.
* uninstall: *leaving* (no new events) ▸ AppUninstall is handled, or given up at its deadline ▸ *clearing* (the record is gone) ▸
  plugins' hooks and the queue clean up ▸ done. Clean-up that fails is tried again later, with growing pauses.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from typing import Protocol

import msgspec

from showground.apps.installations import Installations
from showground.apps.journal import Journal
from showground.apps.records import Lease, Step
from showground.apps.replacement import Hold
from showground.clock import Clock
from showground.errors import ShowgroundError
from showground.keys import InstallationId
from showground.model import HostEvent, Installation, Json

log = logging.getLogger("showground.apps.phases")

MAX_CLEANUP_TRIES = 10


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


class ImportUndo(Protocol):
    """What `apps.replacement` can do about an import that was cut off."""

    async def put_back(self, installation: Installation, kept: str, hold: Hold) -> bool:
        """False when the import had been finished. Safe to repeat."""
        ...

    async def drop(self, installation: InstallationId, kept: str) -> None:
        """Nothing was replaced yet: forget what was kept."""
        ...


@dataclass(frozen=True)
class Surroundings:
    """Whom a change reaches besides the records, and how long it waits for them."""

    hooks: LifecycleHooks
    emit_to: EmitTo
    clear_deliveries: Callable[[InstallationId], Awaitable[None]]
    observe: Callable[[HostEvent], None]
    hook_deadline_s: float
    uninstall_deadline_s: float
    cleanup_pause_s: float
    undo: ImportUndo | None
    """None where nothing is imported."""


class Phases:
    """Each method needs the lease, and gives it back by finishing the step."""

    def __init__(self, installations: Installations, journal: Journal, clock: Clock, around: Surroundings) -> None:
        self._installations = installations
        self._journal = journal
        self._clock = clock
        self._around = around

    async def finish(self, lease: Lease, step: Step) -> None:
        """Go on from the phase that *step* has reached. Raises `plugin_error` for a change that was undone."""
        if step.kind == "uninstall":
            await self._finish_uninstall(lease, step)
        elif step.kind == "import":
            await self._finish_import(lease, step)
        else:
            await self._finish_change(lease, step)

    async def _finish_import(self, lease: Lease, step: Step) -> None:
        undo = self._around.undo
        if undo is not None and step.phase == "suspended":
            await undo.drop(lease.id, step.kept)
        elif undo is not None:
            try:
                undone = await undo.put_back(step.installation, step.kept, self._journal.holding(lease))
            except Exception as error:
                outcome = f"an import into {lease.id} was cut off, and what was there could not be put back yet"
                if not await self._try_again(lease, step):
                    log.error("%s; its data is a part of what was imported: import it again (%s)", outcome, error)
                    await self._journal.finish(lease, step.before)
                    await self._installations.refresh()
                    return
                raise _plugin_error(error, outcome, self._around.hook_deadline_s) from error
            log.warning(
                "an import into %s was cut off: %s", lease.id, "all is as before" if undone else "it is complete"
            )
        await self._journal.finish(lease, step.before)
        await self._installations.refresh()

    async def _try_again(self, lease: Lease, step: Step) -> bool:
        """Leave *step* for a later try; False when there were enough of them."""
        failures = step.failures + 1
        if failures >= MAX_CLEANUP_TRIES:
            return False
        await self._journal.advance(lease, msgspec.structs.replace(step, failures=failures))
        await self._journal.give_back(lease, min(300.0, self._around.cleanup_pause_s * 2 ** (failures - 1)))
        return True

    async def _finish_change(self, lease: Lease, step: Step) -> None:
        installation = step.installation
        await self._installations.refresh()
        if step.phase == "recorded":
            try:
                async with asyncio.timeout(self._around.hook_deadline_s):
                    if step.before is None:
                        await self._around.hooks.installed(installation)
                    else:
                        await self._around.hooks.upgraded(installation, step.before.installation)
            except Exception as error:
                await self.undo(lease, step)
                raise _plugin_error(
                    error, f"{step.kind} of {lease.id} was undone", self._around.hook_deadline_s
                ) from error
            step = msgspec.structs.replace(step, phase="hooked")
            await self._journal.advance(lease, step)
        event = "AppInstall" if step.kind == "install" else "AppUpgrade"
        try:
            await self._around.emit_to(installation, event, _payload(step), event_id=step.event_id)
        except ShowgroundError as error:
            # A full queue or an absent Redis passes, and recovery tries again; what is refused for good would be for ever.
            if not error.kind.temporary:
                await self.undo(lease, step)
            raise
        await self._journal.finish(lease)
        self._tell(step)

    async def undo(self, lease: Lease, step: Step) -> None:
        """Bring plugins and record back to before the change. Plugins see the reverse change, as far as they answer."""
        try:
            async with asyncio.timeout(self._around.hook_deadline_s):
                if step.before is None:
                    await self._around.hooks.uninstalled(step.installation)
                else:
                    await self._around.hooks.upgraded(step.before.installation, step.installation)
        except Exception as error:
            log.error("a plugin did not take back its part of the %s of %s: %s", step.kind, lease.id, error)
        if step.before is None:
            await self._journal.finish(lease, remove=True)
            await self._around.clear_deliveries(lease.id)
        else:
            await self._journal.finish(lease, step.before)
        await self._installations.refresh()

    async def _finish_uninstall(self, lease: Lease, step: Step) -> None:
        installation = step.installation
        if step.phase == "leaving":
            await self._installations.refresh()
            try:
                async with asyncio.timeout(self._around.uninstall_deadline_s + 5):
                    await self._around.emit_to(
                        installation,
                        "AppUninstall",
                        _payload(step),
                        event_id=step.event_id,
                        wait_s=self._around.uninstall_deadline_s,
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
            async with asyncio.timeout(self._around.hook_deadline_s):
                await self._around.clear_deliveries(lease.id)
                await self._around.hooks.uninstalled(installation)
        except Exception as error:
            if not await self._try_again(lease, step):
                log.error("clean-up after %s is given up after %s tries: %s", lease.id, MAX_CLEANUP_TRIES, error)
                await self._journal.finish(lease)
                return
            raise _plugin_error(
                error, f"{lease.id} is uninstalled; its clean-up will be repeated", self._around.hook_deadline_s
            ) from error
        await self._journal.finish(lease)
        self._tell(step)

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
        self._around.observe(HostEvent(name=f"app_{step.kind}", at_ms=self._clock.now_ms(), labels=labels))


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
