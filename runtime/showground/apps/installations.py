"""Which app is installed where: a mirror in each host's memory of the durable records in Redis.

Lookups are synchronous, because every event, press and request makes one. All hosts converge: a change is announced on
Pub/Sub with its revision, and a poll of the revision repairs what an announcement did not reach.
"""

from __future__ import annotations

import asyncio
import logging
from collections import defaultdict
from collections.abc import Callable, Sequence
from contextlib import AsyncExitStack
from dataclasses import dataclass
from types import TracebackType
from typing import Self

import msgspec

from showground.apps.records import InstallationRecord
from showground.clock import Clock
from showground.errors import ShowgroundError
from showground.keys import InstallationId, KeySpace
from showground.model import AppVersion, Installation
from showground.redis.api import Redis
from showground.tasks import Tasks

log = logging.getLogger("showground.apps.installations")

SPARE_VERSIONS = 64
"""How many versions that no installation has any more are kept before they are thrown out together."""


@dataclass(frozen=True, slots=True)
class Change:
    """One installation, before and after; None where there was or is none."""

    before: Installation | None
    after: Installation | None


class Installations:
    """All installations of the deployment. Use as an async context manager: it is loaded when entered."""

    def __init__(self, redis: Redis, keys: KeySpace, clock: Clock, poll_s: float = 1.0) -> None:
        self._redis = redis
        self._key = keys.host("installations")
        self._clock = clock
        self.poll_s = poll_s
        self._decode = msgspec.json.Decoder(InstallationRecord).decode
        self._records: dict[InstallationId, InstallationRecord] = {}
        self._versions: dict[str, AppVersion] = {}
        self._members: dict[str, set[InstallationId]] = defaultdict(set)
        self._by_community: dict[str, tuple[Installation, ...]] = {}
        self._subscribers: dict[tuple[str, str], tuple[Installation, ...]] = {}
        self._events: dict[str, tuple[str, ...]] = {}
        self._revision = 0
        self._announced: dict[int, InstallationId] = {}
        self._wake = asyncio.Event()
        self._refreshing = asyncio.Lock()
        self._callbacks: list[Callable[[Change], None]] = []
        self._fresh_at = clock.monotonic()
        self._exits = AsyncExitStack()

    # --- lookups, synchronous ---

    def get(self, installation: InstallationId) -> Installation | None:
        """The installation, also while it is being uninstalled, so that AppUninstall can still be handled."""
        record = self._records.get(installation)
        return record.installation if record is not None else None

    def record(self, installation: InstallationId) -> InstallationRecord | None:
        return self._records.get(installation)

    def fault(self, installation: InstallationId) -> ShowgroundError | None:
        """Why none of its code may run now; None when it may."""
        record = self._records.get(installation)
        if record is None:
            return ShowgroundError(
                "not_found", f"{installation} is not installed", "installation", "Install the app first."
            )
        if record.suspended:
            return ShowgroundError(
                "not_ready",
                f"the data of {installation} is being imported",
                "installation",
                "Try again.",
                retry_after=2.0,
            )
        return None

    def in_community(self, community: str) -> Sequence[Installation]:
        """By app name; without those that are being uninstalled."""
        return self._by_community.get(community, ())

    def subscribers(self, community: str, event: str) -> Sequence[Installation]:
        """Installations in *community* whose app has a trigger for *event*; without those that are being uninstalled."""
        return self._subscribers.get((community, event), ())

    def communities(self) -> Sequence[str]:
        """Communities in which something is installed, by name."""
        return sorted(self._by_community)

    def all(self) -> Sequence[Installation]:
        """Every installation, by id."""
        return [self._records[key].installation for key in sorted(self._records)]

    async def users(self, app: str, version: str) -> Sequence[str]:
        """Ids of the installations that run this version, or return to it by a rollback; read from Redis, not from the mirror."""
        await self.refresh()
        return [
            key
            for key, record in sorted(self._records.items())
            if record.installation.app == app
            and (record.installation.version.version == version or version in record.history[-1:])
        ]

    def on_change(self, callback: Callable[[Change], None]) -> None:
        """Call *callback* on the loop after each change that reaches this host; it must not block.

        Several changes in quick succession may arrive as one: `before` is what this host knew last.
        """
        self._callbacks.append(callback)

    @property
    def revision(self) -> int:
        """The revision of Redis' records that the mirror has reached."""
        return self._revision

    def age_s(self) -> float:
        """Seconds since the mirror last agreed with Redis; `/readyz` goes red when it grows."""
        return self._clock.monotonic() - self._fresh_at

    # --- keeping up ---

    async def __aenter__(self) -> Self:
        async with AsyncExitStack() as exits:
            subscriber = await exits.enter_async_context(
                self._redis.subscriber(self._on_message, lambda channels: self._wake.set())
            )
            await subscriber.subscribe(self._key)
            await self.refresh()
            tasks = await exits.enter_async_context(Tasks())
            tasks.keep("installations: keep up", self._keep_up, self._clock.sleep)
            self._exits = exits.pop_all()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._exits.aclose()

    async def refresh(self) -> None:
        """Bring the mirror to what Redis holds now. Whoever changed a record here calls it, to read its own write."""
        async with self._refreshing:
            steps = self._take_announced()
            if steps:
                await self._load_some(steps)
            revision = int(await self._redis.call("HGET", self._key, "!revision") or 0)
            if revision != self._revision:
                await self._load_all()
            self._fresh_at = self._clock.monotonic()

    def _on_message(self, channel: str, payload: bytes) -> None:
        revision, _, installation = payload.decode().partition(" ")
        self._announced[int(revision)] = InstallationId(installation)
        self._wake.set()

    async def _keep_up(self) -> None:
        while True:
            try:
                async with asyncio.timeout(self.poll_s):
                    await self._wake.wait()
            except TimeoutError:
                pass
            self._wake.clear()
            try:
                await self.refresh()
            except ShowgroundError as error:
                log.warning("installations may be stale: %s", error)
                await self._clock.sleep(self.poll_s)

    def _take_announced(self) -> list[tuple[int, InstallationId]]:
        """The announcements that follow on our revision without a gap; the others are left to a full load."""
        steps: list[tuple[int, InstallationId]] = []
        revision = self._revision
        while (following := self._announced.pop(revision + 1, None)) is not None:
            revision += 1
            steps.append((revision, following))
        for old in [number for number in self._announced if number <= revision]:
            del self._announced[old]
        return steps

    async def _load_some(self, steps: Sequence[tuple[int, InstallationId]]) -> None:
        ids = sorted({installation for _, installation in steps})
        values = await self._redis.call("HMGET", self._key, *ids)
        self._apply(
            {key: self._read(value) if value else None for key, value in zip(ids, values, strict=True)}, steps[-1][0]
        )

    async def _load_all(self) -> None:
        reply = await self._redis.call("HGETALL", self._key)
        pairs = list(reply.items()) if isinstance(reply, dict) else list(zip(reply[::2], reply[1::2], strict=True))
        stored: dict[InstallationId, InstallationRecord | None] = {
            InstallationId(field.decode()): self._read(value) for field, value in pairs if not field.startswith(b"!")
        }
        revision = next((int(value) for field, value in pairs if field == b"!revision"), 0)
        for gone in self._records.keys() - stored.keys():
            stored[gone] = None
        self._apply(stored, revision)

    def _read(self, value: bytes) -> InstallationRecord:
        record = self._decode(value)
        # Many communities run the same version: its registration is held once.
        version = self._versions.setdefault(record.installation.version.digest, record.installation.version)
        if version != record.installation.version:
            return record
        return msgspec.structs.replace(
            record, installation=msgspec.structs.replace(record.installation, version=version)
        )

    def _apply(self, changed: dict[InstallationId, InstallationRecord | None], revision: int) -> None:
        self._revision = revision
        for old in [number for number in self._announced if number <= revision]:
            del self._announced[old]
        changes: list[Change] = []
        touched: set[str] = set()
        for key, record in changed.items():
            before = self._records.get(key)
            if before == record:
                continue
            community = key.partition(":")[2]
            if record is None:
                del self._records[key]
                self._members[community].discard(key)
            else:
                self._records[key] = record
                self._members[community].add(key)
            touched.add(community)
            changes.append(
                Change(before.installation if before else None, record.installation if record is not None else None)
            )
        if not changes:
            return
        for community in touched:
            self._index(community)
        if len(self._versions) > len(self._records) + SPARE_VERSIONS:
            used = {record.installation.version.digest for record in self._records.values()}
            self._versions = {digest: version for digest, version in self._versions.items() if digest in used}
        for change in changes:
            for callback in self._callbacks:
                try:
                    callback(change)
                except Exception:
                    log.exception("a listener to changes of installations failed")

    def _index(self, community: str) -> None:
        records = [self._records[key] for key in sorted(self._members[community])]
        active = tuple(record.installation for record in records if not record.leaving)
        for event in self._events.pop(community, ()):
            del self._subscribers[community, event]
        if not active:
            self._by_community.pop(community, None)
            if not records:
                del self._members[community]
            return
        self._by_community[community] = active
        listening: dict[str, list[Installation]] = defaultdict(list)
        for installation in active:
            for event in {trigger.event for trigger in installation.version.registration.triggers}:
                listening[event].append(installation)
        self._events[community] = tuple(listening)
        for event, installations in listening.items():
            self._subscribers[community, event] = tuple(installations)
