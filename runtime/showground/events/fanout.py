"""From checked events to one delivery for each installation that listens, each event once."""

from __future__ import annotations

import asyncio
import functools
import hashlib
import logging
from collections.abc import Callable, Coroutine, Mapping, Sequence
from typing import Any, Protocol

import msgspec

from showground.clock import Clock
from showground.deliveries import Offered, RedisDeliveries
from showground.deliveries.records import encode, packed
from showground.errors import ShowgroundError
from showground.events.cloudevents import Event
from showground.keys import InstallationId, KeySpace
from showground.model import Delivery, Frozen, HostEvent, Installation
from showground.redis.api import Arg, CommandRefused, Reply, Script
from showground.tasks import Tasks

log = logging.getLogger("showground.events")

REMEMBERED_S = 24 * 60 * 60
"""How long `(source, id)` dedupes."""
Checked = tuple[str, Event, bytes]
"""(hash of source and id, event, the payload that handlers get)."""

_REMEMBER = Script(
    """
for _, entry in ipairs(cmsgpack.unpack(ARGV[2])) do
  redis.call('SET', KEYS[1] .. ':' .. entry[1], entry[2], 'EX', ARGV[1])
end
"""
)


class Subscribers(Protocol):
    """`showground.apps.installations.Installations`, as far as the intake needs it."""

    def subscribers(self, community: str, event: str) -> Sequence[Installation]: ...


class AcceptedDelivery(Frozen, frozen=True, kw_only=True, array_like=True):
    installation: InstallationId
    dead: bool = False
    """Its backlog was full, so the delivery lies among its dead letters, where it can be redriven."""


class AcceptedEvent(Frozen, frozen=True, kw_only=True, array_like=True):
    """What became of one event. The same for every repeat within 24 h."""

    id: str
    source: str
    type: str
    community: str
    delivery: str
    """The id of its deliveries: the same for all installations, which have an id space each."""
    deliveries: Sequence[AcceptedDelivery]


_decode_accepted = msgspec.msgpack.Decoder(AcceptedEvent).decode


class Fanout:
    """Two round trips to Redis, whatever the number of events, each to all shards at once.

    A third writes down what was answered, and nobody waits for it: it leaves before the answers do, and should Redis die just
    then, the deliveries are there, and refuse to be made a second time.
    """

    def __init__(
        self,
        deliveries: RedisDeliveries,
        subscribers: Subscribers,
        keys: KeySpace,
        clock: Clock,
        observe: Callable[[HostEvent], None],
    ) -> None:
        self._deliveries = deliveries
        self._redis = deliveries.redis
        self._subscribers = subscribers
        self._keys = keys
        self._clock = clock
        self._observe = observe
        self._tasks = Tasks()

    async def settle(self, asked: Sequence[Checked]) -> Mapping[str, AcceptedEvent]:
        """The answers by hash, old and new. One that is missing was taken by nobody: all who listen have a full backlog."""
        answers = await self._remembered(asked)
        fresh = {entry[0]: entry for entry in reversed(asked) if entry[0] not in answers}
        if fresh:
            answers.update(await self._enqueue(list(reversed(fresh.values()))))
        return answers

    async def _remembered(self, asked: Sequence[Checked]) -> dict[str, AcceptedEvent]:
        answers: dict[str, AcceptedEvent] = {}

        async def look_up(base: str, digests: Sequence[str]) -> None:
            replies = await self._redis.call("MGET", *(f"{base}:{digest}" for digest in digests))
            for digest, reply in zip(digests, replies, strict=True):
                if reply is not None:
                    answers[digest] = _decode_accepted(reply)

        by_base: dict[str, list[str]] = {}
        for digest, event, _ in asked:
            by_base.setdefault(self._seen(event.source), []).append(digest)
        await _together([look_up(base, digests) for base, digests in by_base.items()])
        return answers

    async def _enqueue(self, fresh: Sequence[Checked]) -> dict[str, AcceptedEvent]:
        deliveries: list[Delivery] = []
        spans: list[tuple[int, int]] = []
        for digest, event, payload in fresh:
            start = len(deliveries)
            deliveries.extend(
                delivery_of(digest, installation, event.type, payload, self._clock)
                for installation in self._subscribers.subscribers(event.community, event.type)
            )
            spans.append((start, len(deliveries)))
        offered = await self._deliveries.offer(deliveries) if deliveries else []
        answers: dict[str, AcceptedEvent] = {}
        overflow: list[tuple[Delivery, ShowgroundError]] = []
        for (digest, event, _), (start, end) in zip(fresh, spans, strict=True):
            if end > start and all(answer == "overloaded" for answer in offered[start:end]):
                continue
            parts = [_part(deliveries[n], offered[n], overflow) for n in range(start, end)]
            answers[digest] = AcceptedEvent(
                id=event.id,
                source=event.source,
                type=event.type,
                community=event.community,
                delivery=_delivery_id(digest),
                deliveries=parts,
            )
        if overflow:
            await self._deliveries.bury(overflow)
        await self._remember(answers)
        for type_name in {event.type for _, event, _ in fresh}:
            self.count(type_name, sum(answer.type == type_name for answer in answers.values()))
        return answers

    async def _remember(self, answers: Mapping[str, AcceptedEvent]) -> None:
        by_base: dict[str, list[tuple[str, msgspec.Raw]]] = {}
        for digest, answer in answers.items():
            by_base.setdefault(self._seen(answer.source), []).append((digest, packed(encode(answer))))
        waited: list[Coroutine[Any, Any, Any]] = []
        for base, batch in by_base.items():
            arguments = (REMEMBERED_S, encode(batch))
            if not self._redis.ask(
                ("EVALSHA", _REMEMBER.sha, 1, base, *arguments), functools.partial(self._remembers, base, arguments)
            ):
                waited.append(self._redis.run(_REMEMBER, [base], arguments))
        await _together(waited)

    def _remembers(self, base: str, arguments: Sequence[Arg], reply: Reply, error: Exception | None) -> None:
        if isinstance(error, CommandRefused) and str(error).startswith("NOSCRIPT"):
            self._tasks.start("events: remember", self._remember_again(base, arguments))
        elif error is not None:
            _is_forgotten(error)

    async def _remember_again(self, base: str, arguments: Sequence[Arg]) -> None:
        try:
            await self._redis.run(_REMEMBER, [base], arguments)
        except (ShowgroundError, CommandRefused) as error:
            _is_forgotten(error)

    def _seen(self, source: str) -> str:
        """Base of the keys that remember the events of *source*: on one shard, so that a batch of them is one command."""
        return self._keys.shard(self._keys.shard_of(source), "event")

    def count(self, type_name: str, n: int) -> None:
        if n:
            self._observe(
                HostEvent(name="event", at_ms=self._clock.now_ms(), labels={"type": type_name}, value=float(n))
            )


def _is_forgotten(error: Exception) -> None:
    log.warning("what was answered to the last events is not remembered; their deliveries are there: %s", error)


async def _together(calls: Sequence[Coroutine[Any, Any, Any]]) -> None:
    """Await all; a single one, the usual case, without the price of a task."""
    if len(calls) == 1:
        await calls[0]
    else:
        await asyncio.gather(*calls)


def event_hash(source: str, event_id: str) -> str:
    """One name for `(source, id)`, of bounded length; NUL can be in neither."""
    return hashlib.blake2b(f"{source}\0{event_id}".encode(), digest_size=16).hexdigest()


def _delivery_id(digest: str) -> str:
    return f"event-{digest}"


def delivery_of(digest: str, installation: Installation, event: str, payload: bytes, clock: Clock) -> Delivery:
    trigger = installation.version.registration.trigger(event)
    return Delivery(
        id=_delivery_id(digest),
        installation=installation.id,
        kind="trigger",
        name=event,
        payload=payload,
        timeout_s=trigger.timeout_s if trigger else None,
        max_attempts=trigger.max_attempts if trigger else None,
        created_at_ms=clock.now_ms(),
    )


def _part(delivery: Delivery, answer: Offered, overflow: list[tuple[Delivery, ShowgroundError]]) -> AcceptedDelivery:
    if answer != "overloaded":
        return AcceptedDelivery(installation=delivery.installation)
    error = ShowgroundError(
        "overloaded", "the backlog of this installation was full", delivery.name, "Redrive it later."
    )
    overflow.append((delivery, error))
    return AcceptedDelivery(installation=delivery.installation, dead=True)
