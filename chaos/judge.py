"""Holds what was acknowledged against the end state. Every rule counts what it looked at, so that none passes empty."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import msgspec
import redis

from chaos.cluster import PREFIX, Cluster
from chaos.hearing import kept, lost_tail
from chaos.jobs import Jobs
from chaos.load import Listener, Member, Promises
from showground.keys import PERMANENT
from showground.plugins import Plugins, find_plugins
from showground.testing.leaks import leaked

SHOWN = 8
"""Breaches of one rule that are written out; the rest is counted."""


@dataclass
class Rule:
    """One invariant."""

    name: str
    checked: int = 0
    breaches: list[str] = field(default_factory=list)
    notes: dict[str, int] = field(default_factory=dict)

    def expect(self, right: object, otherwise: str) -> None:
        self.checked += 1
        if not right:
            self.breaches.append(otherwise)

    @property
    def passed(self) -> bool:
        return not self.breaches and self.checked > 0


class Judge:
    def __init__(self, cluster: Cluster, promises: Promises) -> None:
        self._cluster = cluster
        self._promises = promises

    @cached_property
    def _client(self) -> redis.Redis:
        """Opened when there is something to be judged: whoever serves then goes on doing so."""
        return self._cluster.store.open()

    def close(self) -> None:
        if "_client" in self.__dict__:
            self._client.close()

    def _hash(self, community: str, name: str) -> dict[str, int]:
        stored: Any = self._client.hgetall(f"{PREFIX}:{{ledger:{community}}}:kv:{name}")
        return {key.decode(): int(value) for key, value in stored.items()}

    def outstanding(self) -> int:
        """Deliveries that have not ended, over all installations."""
        keys = self._client.scan_iter(match=f"{PREFIX}:{{*}}:deliveries:out:*", count=1000)
        return sum(int(self._client.hlen(key)) for key in keys)

    async def events(self) -> Rule:
        rule = Rule("every accepted event was handled, or is among the dead letters")
        again = buried = 0
        for community, accepted in self._promises.events.items():
            handled = self._hash(community, "events")
            dead = await self._dead(community)
            for name, behaviour in accepted.items():
                times, is_dead = handled.get(f"t3_{name}", 0), f"t3_{name}" in dead
                if behaviour == "never":
                    rule.expect(
                        is_dead and not times, f"event {name} fails always, but is no dead letter ({times} runs)"
                    )
                else:
                    rule.expect(times or is_dead, f"event {name} ({behaviour}) was accepted and never handled")
                    again += times > 1
                    buried += is_dead
        rule.notes = {"handled more than once": again, "given up though they could work": buried}
        return rule

    async def _dead(self, community: str) -> set[str]:
        found: set[str] = set()
        for raw in self._client.scan_iter(match=f"{PREFIX}:{{*}}:deliveries:dead:ledger:{community}"):
            letters: Any = self._client.hvals(raw)
            for value in letters:
                start = value.find(b"t3_")
                if start < 0:
                    continue  # a job, of which `jobs` tells
                found.add(value[start : value.index(b'"', start)].decode())
        return found

    async def jobs(self, jobs: Jobs) -> Rule:
        rule = Rule("every slot of every job was enqueued once and ran; none is missing, none was made up")
        histories = await jobs.histories()
        ran: dict[str, int] = {}
        for community in {job.community for job in jobs.planned}:
            ran |= self._hash(community, "ticks")
        slots = again = 0
        for job in jobs.planned:
            outcomes = histories[job.id]
            times = Counter(run["scheduled_at_ms"] for run in outcomes)
            must, may = job.must(jobs.stopped_ms), job.may(jobs.ended_ms)
            rule.expect(must <= set(times), f"job {job.key} {job.id}: slots {sorted(must - set(times))[:5]} never ran")
            rule.expect(
                set(times) <= may, f"job {job.key} {job.id}: slots {sorted(set(times) - may)[:5]} are none of its"
            )
            if job.is_once(jobs.stopped_ms):
                rule.expect(len(times) == 1, f"one-off job {job.key} {job.id} has slots {sorted(times)}")
            for run in outcomes:
                slot = run["scheduled_at_ms"]
                slots += 1
                rule.expect(times[slot] == 1, f"{run['run']} was enqueued {times[slot]} times")
                rule.expect(run["status"] == "done", f"{run['run']} ended as {run['status']}: {run['error']}")
                rule.expect(ran.get(run["run"], 0) >= 1, f"{run['run']} is done, but no handler wrote it down")
                again += ran.get(run["run"], 0) > 1
        known = {job.id for job in jobs.planned}
        strangers = {name.partition("@")[0] for name in ran} - known
        rule.notes = {
            "jobs": len(jobs.planned),
            "slots": slots,
            "ran more than once": again,
            "replanned": len(strangers),
        }
        return rule

    def log(self, community: str) -> list[tuple[str, int]]:
        """(position, number) of every message of the channel, in order."""
        base = f"{PREFIX}:{{ledger:{community}}}:rt"
        raw: Any = self._client.xrange(f"{base}:log:news")
        epochs = {position.partition(".")[0] for position in self._promises.published[community]}
        epoch = epochs.pop() if len(epochs) == 1 else "?"
        return [
            (f"{epoch}.{entry.partition(b'-')[0].decode()}", msgspec.json.decode(*fields.values())["n"])
            for entry, fields in raw
        ]

    def published(self) -> Rule:
        rule = Rule("every acknowledged message is in its channel, at the position that was told")
        for community, accepted in self._promises.published.items():
            log = dict(self.log(community))
            for position, number in accepted.items():
                rule.expect(
                    log.get(position) == number, f"message {number} at {position} of {community}: {log.get(position)}"
                )
        return rule

    def listeners(self, listeners: Sequence[Listener]) -> Rule:
        rule = Rule("listeners have every position once and in order, except where they were told of a gap")
        heard = gaps = recovered = lost = 0
        for listener in listeners:
            order = [position for position, _ in self.log(listener.community)]
            offsets, known = [_offset(position) for position in order], set(order)
            for segment in listener.segments:
                since = -1 if segment.since is None else _offset(segment.since)
                start = sum(offset <= since for offset in offsets)
                positions = segment.positions
                if not self._cluster.store.keeps_heard and segment is not listener.segments[-1]:
                    positions = positions[: kept(positions, known)]
                there = order[start : start + len(positions)]
                heard += len(positions)
                lost += len(segment.positions) - len(positions)
                rule.expect(positions == there, _difference(listener.community, positions, there))
            gaps += len(listener.segments) - 1
            recovered += listener.recoveries[True]
            rule.expect(
                listener.position == order[-1],
                f"a listener of {listener.community} stands at {listener.position}",
            )
        rule.notes = {"messages heard": heard, "recovered": recovered, "told of a gap": gaps, "heard and lost": lost}
        return rule

    def members(self, members: Sequence[Member]) -> Rule:
        rule = Rule("every acknowledged press is in the view's state, once")
        for member in members:
            own, _, _ = member.shows()
            rule.expect(
                own == member.counted,
                f"a view of {member.community} ({member.viewer.view}) counts {own}; {member.counted} presses were acknowledged",
            )
        rule.notes = {
            "presses": sum(m.counted for m in members),
            "told that they failed": sum(m.refused for m in members),
            "reconnects": sum(m.returns for m in members),
        }
        return rule

    def views_heard(self, members: Sequence[Member]) -> Rule:
        rule = Rule("views heard every message once and in order, except where the app was told that it lost some")
        heard = gaps = lost = 0
        for member in members:
            numbers = [number for _, number in self.log(member.community)]
            where = {number: at for at, number in enumerate(numbers)}
            _, status, segments = member.shows()
            rule.expect(status == "here", f"a view of {member.community} is not connected to its channel at the end")
            reached = -1
            for segment in segments:
                first, count, wanted = segment
                at = where.get(first, -1)
                gone = lost_tail(numbers, at, count, wanted) if at > reached else None
                may_lose = not self._cluster.store.keeps_heard and segment is not segments[-1]
                rule.expect(
                    gone == 0 or (gone is not None and may_lose),
                    f"a view of {member.community} heard {count} messages from {first} on that are not the channel's",
                )
                reached = at + count - (gone or 0) - 1
                heard += count
                lost += gone or 0
            rule.expect(
                reached == len(numbers) - 1, f"a view of {member.community} stands at {reached} of {len(numbers)}"
            )
            gaps += max(0, len(segments) - 1)
        rule.notes = {"messages heard": heard, "told of a gap": gaps, "heard and lost": lost}
        return rule

    async def leaks(self, open_files: dict[int, tuple[int, int]]) -> Rule:
        """To be asked when all hosts have ended and every app is uninstalled."""
        rule = Rule("nothing is left behind: no process, no open file, no key without an expiry")
        fathered = [(host.number, p) for host in self._cluster.hosts for p in host.fathered]
        for _ in range(50):
            if not any(p.alive() for _, p in fathered):
                break
            await asyncio.sleep(0.1)
        for number, child in fathered:
            rule.expect(not child.alive(), f"process {child.pid} of host {number} outlived it")
        for number, (before, after) in open_files.items():
            rule.expect(after <= before + 30, f"host {number} has {after} open files; it began with {before}")
        patterns = [*PERMANENT, *Plugins(find_plugins()).permanent_keys]
        for key in leaked(self._client, PREFIX, patterns):
            rule.expect(False, f"key {key} has no expiry")
        for key in leaked(self._client, PREFIX, ()):
            rule.expect("{ledger:" not in key and ":ledger:" not in key, f"key {key} outlived its installation")
        rule.notes = {"processes": len(fathered)}
        return rule

    def conduct(self) -> Rule:
        rule = Rule(
            "hosts refused with Retry-After only, restored every view, ended when asked, and logged no traceback"
        )
        for breach in self._promises.breaches:
            rule.expect(False, breach)
        for host in self._cluster.hosts:
            log = (host.folder / "host.log").read_text("utf-8", "replace")
            at = log.find("Traceback (most recent call last)")
            rule.expect(at < 0, f"host {host.number} logged a traceback: {log[max(0, at - 300) : at + 2500]}")
        rule.notes = {f"answers {status}": count for status, count in sorted(self._promises.refusals.items())}
        return rule


def _offset(position: str) -> int:
    return int(position.rpartition(".")[2])


def _difference(community: str, heard: list[str], there: list[str]) -> str:
    at = next((i for i, (one, other) in enumerate(zip(heard, there, strict=False)) if one != other), len(there))
    return f"a listener of {community} heard {heard[at : at + 3]} where the channel has {there[at : at + 3]} (message {at})"
