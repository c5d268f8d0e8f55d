"""Channels: messages with positions, and history for those who come back."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Protocol

from showground.keys import CapabilityKey, InstallationId
from showground.model import Frozen


class Position(Frozen, frozen=True, kw_only=True):
    """Where a message stands in its channel. Offsets count from 1 within an epoch; a new epoch means that history was lost."""

    epoch: str
    offset: int

    def __str__(self) -> str:
        return f"{self.epoch}.{self.offset}"

    @classmethod
    def parse(cls, text: str) -> Position:
        """Read `epoch.offset`; raises `ValueError`."""
        epoch, _, offset = text.rpartition(".")
        return cls(epoch=epoch, offset=int(offset))


@dataclass(frozen=True, slots=True)
class Message:
    position: Position
    data: bytes
    """The JSON payload as it was published; the host never decodes it."""


@dataclass(frozen=True, slots=True)
class Subscribed:
    """The answer to a subscription: where the channel stands, and whether all that was missed has been (or was) delivered."""

    position: Position
    recovered: bool
    """True when *since* was given and every message after it has been passed to `deliver`, once, in order."""


class RealtimeLimits(Frozen, frozen=True, kw_only=True):
    """What one installation may use, and what every client is told in its hello."""

    messages_per_s: int = 100
    """Messages accepted in any one second, over all channels and hosts."""
    message_bytes: int = 1024 * 1024
    channels: int = 5
    """Channels with history at one time."""


class Subscription(Protocol):
    @property
    def start(self) -> Subscribed: ...

    @property
    def position(self) -> Position:
        """Of the last message that was delivered, or where the channel stood when nothing was; moves on after a gap."""
        ...

    async def close(self) -> None: ...


class Realtime(Protocol):
    """Channels of an installation. Order per channel; at most once to a connected subscriber, exactly once within history."""

    @property
    def limits(self) -> RealtimeLimits: ...

    async def publish(self, installation: InstallationId, channel: str, data: bytes) -> Position:
        """Append to the channel's history and send to every subscriber on every host, in one atomic step.

        Errors: `invalid` (name), `too_large` (over 1 MB; before anything is sent), `rate_limited` with `retry_after`
        (100 a second per installation, exact over all hosts), `quota_exceeded` (a sixth channel). Nothing is half-sent.
        """
        ...

    async def subscribe(
        self,
        installation: InstallationId,
        channel: str,
        deliver: Callable[[Message], None],
        since: Position | None = None,
        on_gap: Callable[[], None] | None = None,
    ) -> Subscription:
        """Call *deliver* for each message from now on, on the loop, in order; it must not block.

        With *since*, what was missed is delivered first. *on_gap* is called when continuity was lost later on and could
        not be repaired from history: the subscriber should fetch its state afresh.
        """
        ...

    async def history(
        self, installation: InstallationId, channel: str, since: Position | None = None, limit: int = 100
    ) -> tuple[Sequence[Message], Subscribed]:
        """The first *limit* messages after *since* (or the newest *limit*), oldest first, and where the channel stands.

        With *since* and not `recovered`, there are none: never a part. More follow while the last one is before the position.
        """
        ...

    async def channels(self, installation: InstallationId) -> Sequence[str]: ...

    async def clear(self, installation: InstallationId) -> None:
        """Forget all channels of the installation."""
        ...


REALTIME: CapabilityKey[Realtime] = CapabilityKey("realtime")
