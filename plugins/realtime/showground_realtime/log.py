"""The seam between the hub and what stores channels: an append-only log per channel that can be listened to.

`redis_log` and `memory_log` implement it. Everything about subscribers is the hub's, so both behave alike.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import NamedTuple, Protocol

from showground.capabilities import Message, Position
from showground.errors import ShowgroundError
from showground.keys import InstallationId


class ChannelId(NamedTuple):
    installation: InstallationId
    name: str

    def __str__(self) -> str:
        return f"{self.installation}:{self.name}"


@dataclass(frozen=True, slots=True)
class Page:
    """What a read found at one instant: the channel's position, and messages up to it, oldest first."""

    position: Position
    continuous: bool
    """Whether *since* is a point of this history, and `messages` all that follows it (up to the limit of the read)."""
    messages: Sequence[Message]


class Listener(Protocol):
    """What a log tells about channels that are listened to. Called on the loop; must not block."""

    def on_message(self, channel: ChannelId, message: Message) -> None:
        """In the order of publication while nothing is lost. May repeat or skip; positions tell."""
        ...

    def on_doubt(self, channel: ChannelId) -> None:
        """Messages may have been lost, or the channel was cleared: look where it stands."""
        ...


class Log(Protocol):
    async def append(self, channel: ChannelId, data: bytes) -> Position:
        """Check the quotas, append and announce, in one atomic step. Raises `rate_limited`, `quota_exceeded`."""
        ...

    async def read(self, channel: ChannelId, since: Position | None, limit: int) -> Page:
        """The first *limit* messages after *since*, else the newest *limit*. Not continuous: no messages.

        A channel that nobody published to yet gets its epoch here, so that its first subscribers miss nothing either.
        """
        ...

    async def listen(self, channel: ChannelId) -> None:
        """Return once every later `append` on any host will reach the listener."""
        ...

    async def unlisten(self, channel: ChannelId) -> None: ...

    async def names(self, installation: InstallationId) -> Sequence[str]: ...

    async def clear(self, installation: InstallationId) -> None: ...


Attach = Callable[[Listener], None]


def rate_limited(installation: InstallationId, per_s: int, retry_after_s: float) -> ShowgroundError:
    return ShowgroundError(
        "rate_limited",
        f"{installation} published {per_s} messages within one second, which is its limit; this one was not sent",
        "realtime",
        "Send fewer, larger messages, or try again after `retry_after` seconds.",
        retry_after=retry_after_s,
    )


def too_many_channels(channel: ChannelId, limit: int, retry_after_s: float) -> ShowgroundError:
    return ShowgroundError(
        "quota_exceeded",
        f"{channel.installation} has {limit} channels, which is its limit; {channel.name!r} would be one more",
        "realtime",
        f"Use one of its channels. The next stops counting in {retry_after_s:.0f} s if nothing is published to it.",
        retry_after=retry_after_s,
    )
