"""The durable queue, as the host lends it to providers."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal, Protocol

from showground.keys import InstallationId
from showground.model import Delivery, Outcome

Enqueued = Literal["new", "duplicate", "skipped"]


class Deliveries(Protocol):
    """The durable delivery queue: at-least-once, own retries, dead letters, fair between installations."""

    async def enqueue(self, deliveries: Sequence[Delivery]) -> Sequence[Enqueued]:
        """Durable when it returns (as durable as Redis' append-only file). `skipped`: `overlap="skip"` and one of the group
        is still outstanding. Errors: `overloaded` when the installation's backlog is at its bound; nothing was enqueued."""
        ...

    async def history(self, installation: InstallationId, group: str, limit: int = 20) -> Sequence[Outcome]: ...

    async def clear(self, installation: InstallationId) -> None: ...
