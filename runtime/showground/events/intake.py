"""From an event to one delivery for each installation that listens: checked, deduped, durable."""

from __future__ import annotations

import asyncio
import hashlib
import secrets
from collections.abc import Callable, Coroutine, Mapping, Sequence
from typing import Any, Protocol

import msgspec

from showground.clock import Clock
from showground.deliveries import Offered, Outcomes, RedisDeliveries
from showground.deliveries.outcomes import MAX_WAITING
from showground.deliveries.records import encode, packed
from showground.errors import Problem, ShowgroundError
from showground.events.catalogue import Catalogue
from showground.events.cloudevents import MAX_DATA_BYTES, MAX_PROBLEMS, Event
from showground.keys import COMMUNITY_NAME, InstallationId, KeySpace
from showground.model import Delivery, Frozen, HostEvent, Installation, Json, Outcome
from showground.redis.api import Script

REMEMBERED_S = 24 * 60 * 60
"""How long `(source, id)` dedupes."""
HOST_SOURCE = "showground"
"""The source of events that the host makes itself, such as AppInstall."""

_REMEMBER = Script(
    """
for _, entry in ipairs(cmsgpack.unpack(ARGV[2])) do
  redis.call('SET', KEYS[1] .. ':' .. entry[1], entry[2], 'EX', ARGV[1])
end
"""
)

_decode = msgspec.json.Decoder().decode
_encode = msgspec.json.Encoder().encode


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


class Accepted(Frozen, frozen=True, kw_only=True):
    events: Sequence[AcceptedEvent]
    """In the order in which they were sent."""


class Intake:
    """The one door for events. A batch of any size takes three round trips to Redis, each to all shards at once."""

    def __init__(
        self,
        deliveries: RedisDeliveries,
        catalogue: Catalogue,
        subscribers: Subscribers,
        keys: KeySpace,
        clock: Clock,
        observe: Callable[[HostEvent], None],
        outcomes: Outcomes | None = None,
    ) -> None:
        self._deliveries = deliveries
        self._redis = deliveries.redis
        self._catalogue = catalogue
        self._subscribers = subscribers
        self._keys = keys
        self._clock = clock
        self._observe = observe
        self._outcomes = outcomes

    async def accept(self, events: Sequence[Event]) -> Accepted:
        """Check all, then enqueue one delivery per installation that listens. Durable when it returns.

        An event whose `(source, id)` was accepted in the last 24 h gets the answer that it got then, and no second delivery,
        whatever else changed in it. An installation whose backlog is full while others took the event gets it as a dead
        letter, so that one stuck app holds up no sender.

        Errors: `invalid` with every breach, and nothing was enqueued. `overloaded` when no installation took one of the
        events; `store_unavailable`. Then some of the events may have been enqueued: send the same again, nothing doubles.
        """
        payloads = self._check(events)
        hashes = [_hash(event.source, event.id) for event in events]
        answers = await self._remembered(events, hashes)
        fresh: dict[str, int] = {}
        for n, digest in enumerate(hashes):
            if digest not in answers:
                fresh.setdefault(digest, n)
        if fresh:
            accepted = await self._enqueue([(digest, events[n], payloads[n]) for digest, n in fresh.items()])
            answers.update(accepted)
        return Accepted(events=[answers[digest] for digest in hashes])

    async def wait(self, accepted: Accepted, timeout_s: float) -> Mapping[tuple[InstallationId, str], Outcome | None]:
        """How the deliveries of *accepted* ended, by (installation, delivery id); see `Outcomes.wait`."""
        if self._outcomes is None:
            raise ShowgroundError("misconfigured", "this host cannot wait for outcomes", "wait")
        keys = list(
            dict.fromkeys((d.installation, event.delivery) for event in accepted.events for d in event.deliveries)
        )
        if len(keys) > MAX_WAITING:
            raise ShowgroundError("too_large", f"{len(keys)} deliveries are too many to wait for", "wait")
        return dict(zip(keys, await self._outcomes.wait(keys, timeout_s), strict=True))

    async def emit(self, community: str, type: str, data: Mapping[str, Any], *, id: str | None = None) -> None:
        """`showground.hookspecs.Emit`: an event that the host or a plugin makes, through the same door."""
        if not COMMUNITY_NAME.fullmatch(community):
            raise ShowgroundError("invalid", f"{community!r} is not a community name", "community")
        event = Event(
            id=id or secrets.token_hex(16),
            source=HOST_SOURCE,
            type=type,
            community=community,
            data=self._bounded(_encode(data)),
        )
        await self.accept([event])

    async def emit_to(
        self,
        installation: Installation,
        type: str,
        data: Mapping[str, Json],
        *,
        event_id: str,
        wait_s: float = 0.0,
    ) -> None:
        """Enqueue one event for one installation if its app has a trigger for it; durable on return, deduped by *event_id*.

        With *wait_s*, return when it has been handled, given up, or *wait_s* seconds have passed, whichever is first.
        """
        self._raise_if(self._catalogue.check(type, data))
        if installation.version.registration.trigger(type) is None:
            return
        payload = self._bounded(_encode({**data, "type": type}))
        delivery = _delivery(_hash(HOST_SOURCE, event_id), installation, type, payload, self._clock)
        await self._deliveries.enqueue([delivery])
        self._count(type, 1)
        if wait_s > 0 and self._outcomes is not None:
            await self._outcomes.wait([(installation.id, delivery.id)], wait_s)

    def _bounded(self, payload: bytes) -> bytes:
        if len(payload) > MAX_DATA_BYTES:
            raise ShowgroundError(
                "too_large", f"the payload has {len(payload)} bytes; {MAX_DATA_BYTES} are allowed", "data"
            )
        return payload

    def _check(self, events: Sequence[Event]) -> list[bytes]:
        """The payloads that handlers get. Raises `invalid` with every breach."""
        payloads: list[bytes] = []
        problems: list[Problem] = []
        for event in events:
            where = f"{event.where}data"
            try:
                data = _decode(event.data)
            except (msgspec.MsgspecError, RecursionError, UnicodeDecodeError) as error:
                reason = "it is nested too deeply" if isinstance(error, RecursionError) else str(error)
                problems.append(Problem(where, f"it is not JSON: {reason}"))
                continue
            found = self._catalogue.check(event.type, data, where)
            problems.extend(found)
            if not found:
                payloads.append(_payload(event, data))
            if len(problems) >= MAX_PROBLEMS:
                break
        self._raise_if(problems)
        return payloads

    def _raise_if(self, problems: Sequence[Problem]) -> None:
        if problems:
            raise ShowgroundError(
                "invalid",
                f"{problems[0].where}: {problems[0].message}"
                if len(problems) == 1
                else f"{len(problems)} things are wrong; nothing was accepted",
                "events",
                "Correct what `details` lists and send it again.",
                details=problems[:MAX_PROBLEMS],
            )

    async def _remembered(self, events: Sequence[Event], hashes: Sequence[str]) -> dict[str, AcceptedEvent]:
        answers: dict[str, AcceptedEvent] = {}

        async def look_up(base: str, digests: Sequence[str]) -> None:
            replies = await self._redis.call("MGET", *(f"{base}:{digest}" for digest in digests))
            for digest, reply in zip(digests, replies, strict=True):
                if reply is not None:
                    answers[digest] = _decode_accepted(reply)

        by_base: dict[str, list[str]] = {}
        for event, digest in zip(events, hashes, strict=True):
            by_base.setdefault(self._seen(event.source), []).append(digest)
        await _together([look_up(base, digests) for base, digests in by_base.items()])
        return answers

    async def _enqueue(self, fresh: Sequence[tuple[str, Event, bytes]]) -> dict[str, AcceptedEvent]:
        deliveries: list[Delivery] = []
        spans: list[tuple[int, int]] = []
        for digest, event, payload in fresh:
            start = len(deliveries)
            deliveries.extend(
                _delivery(digest, installation, event.type, payload, self._clock)
                for installation in self._subscribers.subscribers(event.community, event.type)
            )
            spans.append((start, len(deliveries)))
        offered = await self._deliveries.offer(deliveries) if deliveries else []
        answers: dict[str, AcceptedEvent] = {}
        refused: list[Event] = []
        overflow: list[tuple[Delivery, ShowgroundError]] = []
        for (digest, event, _), (start, end) in zip(fresh, spans, strict=True):
            if end > start and all(answer == "overloaded" for answer in offered[start:end]):
                refused.append(event)
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
            self._count(type_name, sum(answer.type == type_name for answer in answers.values()))
        if refused:
            raise ShowgroundError(
                "overloaded",
                f"the backlogs of all installations that listen are full for {len(refused)} of the events",
                "events",
                "Send the same again later; what was accepted is not delivered twice.",
                retry_after=5.0,
                details=[
                    Problem(event.where.rstrip(".") or "event", "nobody took it") for event in refused[:MAX_PROBLEMS]
                ],
            )
        return answers

    async def _remember(self, answers: Mapping[str, AcceptedEvent]) -> None:
        by_base: dict[str, list[tuple[str, msgspec.Raw]]] = {}
        for digest, answer in answers.items():
            by_base.setdefault(self._seen(answer.source), []).append((digest, packed(encode(answer))))
        await _together(
            [self._redis.run(_REMEMBER, [base], [REMEMBERED_S, encode(batch)]) for base, batch in by_base.items()]
        )

    def _seen(self, source: str) -> str:
        """Base of the keys that remember the events of *source*: on one shard, so that a batch of them is one command."""
        return self._keys.shard(self._keys.shard_of(source), "event")

    def _count(self, type_name: str, n: int) -> None:
        if n:
            self._observe(
                HostEvent(name="event", at_ms=self._clock.now_ms(), labels={"type": type_name}, value=float(n))
            )


async def _together(calls: Sequence[Coroutine[Any, Any, Any]]) -> None:
    """Await all; a single one, the usual case, without the price of a task."""
    if len(calls) == 1:
        await calls[0]
    else:
        await asyncio.gather(*calls)


def _hash(source: str, event_id: str) -> str:
    """One name for `(source, id)`, of bounded length; NUL can be in neither."""
    return hashlib.blake2b(f"{source}\0{event_id}".encode(), digest_size=16).hexdigest()


def _delivery_id(digest: str) -> str:
    return f"event-{digest}"


def _delivery(digest: str, installation: Installation, event: str, payload: bytes, clock: Clock) -> Delivery:
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


def _payload(event: Event, data: dict[str, Any]) -> bytes:
    """*data* with `type`, as Devvit's handlers get it. The sender's bytes pass through unless they have a `type` of their own."""
    if "type" in data:
        return _encode({**data, "type": event.type})
    body = event.data.strip()
    comma = b"," if data else b""
    return b'{"type":' + _encode(event.type) + comma + body[1:]


def _part(delivery: Delivery, answer: Offered, overflow: list[tuple[Delivery, ShowgroundError]]) -> AcceptedDelivery:
    if answer != "overloaded":
        return AcceptedDelivery(installation=delivery.installation)
    error = ShowgroundError(
        "overloaded", "the backlog of this installation was full", delivery.name, "Redrive it later."
    )
    overflow.append((delivery, error))
    return AcceptedDelivery(installation=delivery.installation, dead=True)
