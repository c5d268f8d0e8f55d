"""Joins one connection's outbox to a channel, and works out what its hello may promise."""

from __future__ import annotations

from dataclasses import dataclass

from showground.capabilities import Position, Realtime, Subscription
from showground.keys import InstallationId
from showground_realtime.outbox import Outbox


@dataclass(slots=True)
class Joined:
    outbox: Outbox
    since: Position | None
    subscription: Subscription | None = None

    def on_gap(self) -> None:
        if self.subscription is None or not self.outbox.is_open:
            self.outbox.drop_all()
        else:
            self.outbox.gap(self.subscription.position)

    def stands(self) -> tuple[Position, bool]:
        """Position and `recovered` for the hello: the frames that wait in the outbox follow on that position.

        What is recovered must fit the queue, else the client is told that it was not; without that bound a storm of
        returning clients could take the whole history each.
        """
        assert self.subscription is not None
        start = self.subscription.start
        if not self.outbox.is_complete:
            return self.subscription.position, False
        if start.recovered and self.since is not None:
            return self.since, True
        return start.position, False

    async def close(self) -> None:
        if self.subscription is not None:
            await self.subscription.close()


async def join(
    realtime: Realtime, installation: InstallationId, channel: str, since: Position | None, outbox: Outbox
) -> Joined:
    joined = Joined(outbox, since)
    joined.subscription = await realtime.subscribe(installation, channel, outbox.deliver, since, joined.on_gap)
    return joined
