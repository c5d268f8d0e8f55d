"""What is stored about an installation, and about a change to one that is under way."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Literal

from showground.errors import Problem
from showground.keys import InstallationId
from showground.model import AppVersion, Frozen, Installation, Registration

Veto = Callable[[AppVersion, Registration], Sequence[Problem]]
"""What plugins have against a version here and now; an empty answer grants it. Asked at upload, install and rollback."""

HISTORY = 20
"""How many earlier versions an installation remembers, for rollback."""


class InstallationRecord(Frozen, frozen=True, kw_only=True):
    """One field of the `installations` hash."""

    installation: Installation
    installer: str = ""
    """Who installed it first, as `AppInstall` tells; empty for the host itself."""
    history: tuple[str, ...] = ()
    """Versions that ran here before, oldest first; the last one is what a rollback returns to."""
    leaving: bool = False
    """It is being uninstalled: it still answers what it was sent before, and takes no new events."""
    suspended: bool = False
    """Its data is being replaced: none of its code runs, and what still runs reaches nothing."""


StepKind = Literal["install", "upgrade", "uninstall", "import"]
Phase = Literal["recorded", "hooked", "leaving", "clearing", "suspended", "replacing"]


class Step(Frozen, frozen=True, kw_only=True):
    """A change to one installation that is under way; whoever takes the lease over can finish or undo it from this alone."""

    kind: StepKind
    phase: Phase
    installation: Installation
    """As it is to be after the change; for an uninstall, as it was."""
    before: InstallationRecord | None = None
    """What an undone upgrade, or an import that is over, returns to."""
    actor: str = ""
    kept: str = ""
    """Of an import: under which name what was there before is kept (`apps.replacement`)."""
    event_id: str = ""
    """The id of the event that the change emits: the same at every try, so that a repeated try emits nothing new."""
    failures: int = 0
    """How often clean-up after an uninstall, or putting back after an import, failed so far."""


class Lease(Frozen, frozen=True, kw_only=True):
    """The right to change one installation, until it expires or another host takes it over."""

    id: InstallationId
    fence: int
    step: Step | None = None
    """Left by a host that ended in the middle; finish it before anything else."""
    record: InstallationRecord | None = None


class StoredVersion(Frozen, frozen=True, kw_only=True):
    """One field of an app's version list."""

    version: AppVersion
    bytes: int
    """Size of the stored archive."""
    uploaded_at_ms: int
