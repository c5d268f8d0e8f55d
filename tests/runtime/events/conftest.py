"""An intake over a real queue, with installations from a dictionary."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass, field

import pytest

from showground.clock import SystemClock
from showground.deliveries import DeliverySettings, Outcomes, RedisDeliveries
from showground.events import Catalogue, Intake
from showground.keys import KeySpace, installation_id
from showground.model import AppVersion, Delivery, HostEvent, Installation, Registration, TriggerSpec
from showground.redis.api import Redis


@dataclass
class Town:
    """Installations in communities, and what the queue holds for them."""

    queue: RedisDeliveries
    intake: Intake
    installed: list[Installation] = field(default_factory=list)
    observed: list[HostEvent] = field(default_factory=list)

    def subscribers(self, community: str, event: str) -> Sequence[Installation]:
        return [i for i in self.installed if i.community == community and i.version.registration.trigger(event)]

    def install(self, app: str, *triggers: str | TriggerSpec, community: str = "town") -> Installation:
        specs = tuple(t if isinstance(t, TriggerSpec) else TriggerSpec(event=t) for t in triggers)
        version = AppVersion(
            app=app, version="1.0.0", digest=app, entry="main.py", registration=Registration(triggers=specs)
        )
        made = Installation(
            id=installation_id(app, community), app=app, community=community, version=version, installed_at_ms=1
        )
        self.installed.append(made)
        return made

    async def queued(self, installation: Installation) -> list[Delivery]:
        """Claim and return everything that waits for *installation*."""
        from showground.deliveries.records import decode_delivery

        turn = await self.queue.shards.of(installation.id).turn([], 1000, "test", self.queue.settings)
        found = [decode_delivery(claim.stored[1:]) for claim in turn.claims]
        return [delivery for delivery in found if delivery.installation == installation.id]

    async def backlog(self) -> int:
        return sum([await self.queue.backlog(installation.id) for installation in self.installed])


@pytest.fixture
async def town(redis: Redis, keys: KeySpace) -> AsyncIterator[Town]:
    clock = SystemClock()
    queue = RedisDeliveries(redis, keys, clock, DeliverySettings(concurrency=1000, backlog=500))
    catalogue = Catalogue(
        {
            "com.example.OrderPaid": {
                "type": "object",
                "required": ["order"],
                "properties": {"order": {"type": "integer"}},
            }
        }
    )
    async with Outcomes(queue) as outcomes:
        made = Town(queue, intake=None)  # type: ignore[arg-type]  # the next line gives it, and it needs the town
        made.intake = Intake(queue, catalogue, made, keys, clock, made.observed.append, outcomes)
        yield made
