"""From an event to one delivery for each installation that listens: checked, deduped, durable."""

from __future__ import annotations

import secrets
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import msgspec

from showground.clock import Clock
from showground.deliveries import Outcomes, RedisDeliveries
from showground.deliveries.outcomes import MAX_WAITING
from showground.errors import Problem, ShowgroundError
from showground.events.catalogue import Catalogue
from showground.events.cloudevents import MAX_DATA_BYTES, MAX_PROBLEMS, Event
from showground.events.fanout import AcceptedEvent, Fanout, Subscribers, delivery_of, event_hash
from showground.events.rounds import Rounds
from showground.keys import COMMUNITY_NAME, InstallationId, KeySpace
from showground.model import Frozen, HostEvent, Installation, Json, Outcome

HOST_SOURCE = "showground"
"""The source of events that the host makes itself, such as AppInstall."""

_decode = msgspec.json.Decoder().decode
_encode = msgspec.json.Encoder().encode


class Accepted(Frozen, frozen=True, kw_only=True):
    events: Sequence[AcceptedEvent]
    """In the order in which they were sent."""


class Intake:
    """The one door for events."""

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
        self._catalogue = catalogue
        self._clock = clock
        self._fanout = Fanout(deliveries, subscribers, keys, clock, observe)
        self._rounds = Rounds(self._fanout)
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
        hashes = [event_hash(event.source, event.id) for event in events]
        answers = await self._rounds.settle(list(zip(hashes, events, payloads, strict=True)))
        refused = [event for digest, event in zip(hashes, events, strict=True) if digest not in answers]
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
        delivery = delivery_of(event_hash(HOST_SOURCE, event_id), installation, type, payload, self._clock)
        await self._deliveries.enqueue([delivery])
        self._fanout.count(type, 1)
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


def _payload(event: Event, data: dict[str, Any]) -> bytes:
    """*data* with `type`, as Devvit's handlers get it. The sender's bytes pass through unless they have a `type` of their own."""
    if "type" in data:
        return _encode({**data, "type": event.type})
    body = event.data.strip()
    comma = b"," if data else b""
    return b'{"type":' + _encode(event.type) + comma + body[1:]
