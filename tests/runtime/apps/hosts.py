"""A host's part that deals with installations, put together by hand, with plugins and apps that tests can steer."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

from showground.apps.installations import Installations
from showground.apps.journal import Journal
from showground.apps.lifecycle import Lifecycle
from showground.clock import Clock, SystemClock
from showground.errors import Problem, ShowgroundError
from showground.keys import InstallationId, KeySpace
from showground.model import AppVersion, Installation, Json, Registration, TriggerSpec
from showground.redis.api import Redis


class Died(BaseException):
    """The host is gone at this very point: nothing after it runs, not even error handling for ordinary exceptions."""


@dataclass
class World:
    """Everything around the life cycle, recorded in one list in the order in which it happened."""

    versions: dict[str, AppVersion] = field(default_factory=dict)
    happened: list[str] = field(default_factory=list)
    observed: list[str] = field(default_factory=list)
    emitted: dict[str, tuple[str, Mapping[str, Json]]] = field(default_factory=dict)
    problems: list[Problem] = field(default_factory=list)
    at: dict[str, Callable[[], Awaitable[None]]] = field(default_factory=dict)

    def upload(self, version: str, app: str = "counter", events: Sequence[str] = ("PostCreate",)) -> AppVersion:
        made = AppVersion(
            app=app,
            version=version,
            digest=f"{app}-{version}",
            entry="main.py",
            registration=Registration(triggers=tuple(TriggerSpec(event=e) for e in events)),
        )
        self.versions[version] = made
        return made

    async def get(self, app: str, version: str | None = None) -> AppVersion:
        found = self.versions.get(version) if version else next(reversed(self.versions.values()), None)
        if found is None:
            raise ShowgroundError("not_found", f"no {version}")
        return found

    async def _note(self, what: str) -> None:
        self.happened.append(what)
        step = self.at.get(what)
        if step is not None:
            await step()

    async def installed(self, installation: Installation) -> None:
        await self._note("installed")

    async def upgraded(self, installation: Installation, previous: Installation) -> None:
        await self._note(f"upgraded {previous.version.version} -> {installation.version.version}")

    async def uninstalled(self, installation: Installation) -> None:
        await self._note("uninstalled")

    async def clear(self, installation: InstallationId) -> None:
        await self._note("cleared")

    async def emit_to(
        self, installation: Installation, type: str, data: Mapping[str, Json], *, event_id: str, wait_s: float = 0.0
    ) -> None:
        await self._note(f"{type} waits" if wait_s else type)
        self.emitted.setdefault(event_id, (type, data))


async def lose_lease(redis: Redis, keys: KeySpace, installation: InstallationId) -> None:
    """What fifteen seconds without its host do to a change, and a pause that is over."""
    await redis.call("HDEL", keys.host("installations"), f"!lease {installation}")


@dataclass
class Host:
    installations: Installations
    lifecycle: Lifecycle
    journal: Journal


@asynccontextmanager
async def host(
    redis: Redis,
    keys: KeySpace,
    world: World,
    *,
    poll_s: float = 0.02,
    lease_s: float = 60,
    journal_clock: Clock | None = None,
    hook_deadline_s: float = 20.0,
    recovery_pause_s: float = 0.05,
) -> AsyncIterator[Host]:
    clock = SystemClock()
    journal = Journal(redis, keys, journal_clock or clock, lease_s)
    async with Installations(redis, keys, clock, poll_s) as installations:
        lifecycle = Lifecycle(
            installations,
            journal,
            world,
            clock,
            hooks=world,
            emit_to=world.emit_to,
            clear_deliveries=world.clear,
            veto=lambda version, registration: world.problems,
            observe=lambda event: world.observed.append(event.name),
            hook_deadline_s=hook_deadline_s,
            uninstall_deadline_s=20.0,
            recovery_pause_s=recovery_pause_s,
        )
        yield Host(installations, lifecycle, journal)
