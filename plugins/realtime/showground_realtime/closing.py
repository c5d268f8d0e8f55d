"""Why the host ends a connection, and what the client should do about it. The table is in docs/realtime.md."""

from __future__ import annotations

import secrets
from enum import IntEnum


class CloseCode(IntEnum):
    """WebSocket close codes of our own: 4000 to 4499 mean reconnect, 4500 to 4999 mean do not (as Centrifugo has it)."""

    DRAINING = 4000
    """The host stops; another, or the same after its restart, takes over."""
    SLOW_CONSUMER = 4001
    """More than the queue's bytes waited. Reconnect from the position; or ask for `policy=latest`."""
    UNEXPECTED_FRAME = 4500
    """The client sent something; this connection only carries messages to it."""

    @property
    def may_reconnect(self) -> bool:
        return self < 4500


MIN_SPREAD_MS = 1000
PER_CLIENT_MS = 2
"""A host that takes over should not meet more than 500 returning clients a second."""


def reconnect_after_ms(clients: int) -> int:
    """A time that differs per client, evenly spread (full jitter), so that *clients* do not come back together."""
    return secrets.randbelow(max(MIN_SPREAD_MS, clients * PER_CLIENT_MS))
