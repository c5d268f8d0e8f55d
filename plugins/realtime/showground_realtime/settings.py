"""What an operator may set in the section `[realtime]`."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import msgspec

from showground.capabilities import RealtimeLimits
from showground.errors import ShowgroundError
from showground.model import Frozen


class RealtimeSettings(Frozen, frozen=True, kw_only=True, forbid_unknown_fields=True):
    messages_per_s: int = 100
    """Messages that one installation may publish in any one second, over all its channels and all hosts."""
    message_bytes: int = 1024 * 1024
    """Largest JSON payload of one message."""
    channels: int = 5
    """Channels with history that one installation may have at one time."""
    history_messages: int = 1000
    """Messages that one channel keeps; the oldest go first."""
    history_bytes: int = 8 * 1024 * 1024
    """Payload bytes that one channel keeps; at least `message_bytes`."""
    history_ttl_s: float = 300.0
    """Seconds after the last message until a channel's history goes and the channel no longer counts."""
    position_ttl_s: float = 86_400.0
    """Seconds after the last message until a channel forgets where it stood and its next message starts a new epoch."""
    check_s: float = 10.0
    """Seconds between two looks at whether subscribed channels stand where the subscribers do."""
    queue_bytes: int = 1024 * 1024
    """Bytes that may wait for one WebSocket or event stream before its slow-consumer policy acts."""
    connections: int = 10_000
    """WebSockets and event streams at one time on one host."""
    heartbeat_s: float = 25.0
    """Seconds between two signs of life on a silent connection."""

    @property
    def limits(self) -> RealtimeLimits:
        return RealtimeLimits(
            messages_per_s=self.messages_per_s, message_bytes=self.message_bytes, channels=self.channels
        )


def read_settings(options: Mapping[str, Any]) -> RealtimeSettings:
    """Raises `misconfigured` for an unknown name, a wrong type, or values that do not fit together."""
    try:
        settings = msgspec.convert(options, RealtimeSettings, strict=False)
    except msgspec.ValidationError as error:
        raise ShowgroundError("misconfigured", str(error), "realtime", "See docs/realtime.md, Settings.") from error
    for name in RealtimeSettings.__struct_fields__:
        if getattr(settings, name) <= 0:
            raise ShowgroundError("misconfigured", f"{name} must be more than 0", f"realtime.{name}")
    if settings.history_bytes < settings.message_bytes:
        raise ShowgroundError(
            "misconfigured",
            "history_bytes is less than message_bytes, so the largest message could not be kept",
            "realtime.history_bytes",
            f"Set it to {settings.message_bytes} or more.",
        )
    if settings.position_ttl_s < settings.history_ttl_s:
        raise ShowgroundError(
            "misconfigured",
            "position_ttl_s is less than history_ttl_s, so history could outlive the epoch it belongs to",
            "realtime.position_ttl_s",
            f"Set it to {settings.history_ttl_s:g} or more.",
        )
    return settings
