"""One viewer on one post, as this host holds it: what is waiting, what was reached, and where updates go."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from showground.capabilities import Position
from showground.model import Frozen
from showground.views.records import EVENTS_AT_ONCE, Env, Snapshot, ViewerIdentity, ViewInput


@dataclass(frozen=True, slots=True, eq=False)
class Event:
    """Something that happened to a view. Views that got the same object share one call to the worker."""

    body: Mapping[str, Any]
    seq: int | None = None
    """The browser's number; None for what the host or a channel brought."""
    channel: str | None = None
    """The channel that brought it: a message, or news of the subscription."""
    position: Position | None = None
    """Where that channel stands once this is in the state."""

    @property
    def is_start(self) -> bool:
        """Whether it says from where on a channel's messages are heard. That must be in the snapshot before the viewer is told of
        being connected; otherwise a resume would not know that anything was missed."""
        return self.position is not None and self.body["type"] == "channel"

    @property
    def lasting(self) -> bool:
        """Whether a snapshot is written because of it. A channel's messages need none: they are replayed from history."""
        return self.channel is None or self.is_start


class Connection(Protocol):
    """The viewer's browser. Both transports implement it; neither call waits."""

    def send(self, message: bytes) -> None: ...

    @property
    def is_slow(self) -> bool:
        """More bytes wait than its bound: updates are held back until it has room, then the newest tree is sent whole."""
        ...

    def close(self, reason: str, retry_after: float | None) -> None: ...


class Reached(Frozen, frozen=True, kw_only=True):
    """A view's place: the part of it that a call to the worker moves."""

    rev: int = 0
    state: bytes = b""
    ack: int = 0
    channels: tuple[str, ...] = ()
    intervals: bytes = b"{}"
    more: bool = False


class View:
    """Mutable, and used by its room alone."""

    def __init__(
        self,
        view_id: str,
        viewer: ViewerIdentity,
        env: Env,
        fence: int,
        reached: Reached,
        positions: dict[str, Position],
    ) -> None:
        self.id = view_id
        self.viewer = viewer
        self.env = env
        self.fence = fence
        self.reached = reached
        self.positions = positions
        """Channel → what was queued last."""
        self.applied = dict(positions)
        """Channel → what is in the state: what a snapshot says."""
        self.connection: Connection | None = None
        self.waiting: deque[Event] = deque()
        self.has_room = asyncio.Event()
        """Set while few events wait, so that history may be queued; and when the view is gone."""
        self.has_room.set()
        self.catching_up: set[str] = set()
        """Channels whose messages come from history for now; live ones of them are in it too, and are not taken."""
        self.tries = 0
        """Calls in a row that came to nothing."""
        self.busy = False
        self.cached = False
        """Whether the worker is expected to know (id, rev)."""
        self.stale = False
        """The browser missed updates, so it needs the whole tree."""
        self.seen = reached.ack
        """The highest `seq` that was queued; repeats of it are dropped."""
        self.unsaved = 0
        """Channel messages in the state that the snapshot does not have."""
        self.gone = False

    @property
    def is_full(self) -> bool:
        return len(self.waiting) >= EVENTS_AT_ONCE

    def queue(self, event: Event) -> bool:
        """Add *event*, or return False when too many wait already."""
        if self.is_full:
            return False
        self.waiting.append(event)
        if len(self.waiting) > EVENTS_AT_ONCE // 2:
            self.has_room.clear()
        return True

    def take(self) -> list[Event]:
        """As many as one call may carry."""
        if len(self.waiting) == 1:  # as a rule, and a channel's message is taken by every view of a post
            return [self.waiting.popleft()]
        taken = [self.waiting.popleft() for _ in range(min(len(self.waiting), EVENTS_AT_ONCE))]
        if len(self.waiting) <= EVENTS_AT_ONCE // 2:
            self.has_room.set()
        return taken

    def put_back(self, events: Sequence[Event]) -> None:
        """They were taken, and nothing of them is in the state: they are next again."""
        self.waiting.extendleft(reversed(events))
        if len(self.waiting) > EVENTS_AT_ONCE // 2:
            self.has_room.clear()

    @property
    def cache_id(self) -> str:
        """Under which workers know the view's states. Another claim has another one: a call of the last holder that is still
        under way must not leave its state under a revision of ours."""
        return self.id if self.fence < 2 else f"{self.id}.{self.fence}"

    def input(self, with_state: bool, full: bool) -> ViewInput:
        return ViewInput(
            id=self.cache_id,
            rev=self.reached.rev,
            state=self.reached.state if with_state else None,
            viewer=self.viewer,
            env=self.env,
            full=full,
        )

    def snapshot(self, post: str, installation: Any) -> Snapshot:
        reached = self.reached
        return Snapshot(
            view=self.id,
            post=post,
            installation=installation,
            viewer=self.viewer,
            rev=reached.rev,
            state=reached.state,
            ack=reached.ack,
            channels=reached.channels,
            intervals=reached.intervals,
            positions={name: str(position) for name, position in self.applied.items()},
            more=reached.more,
        )
