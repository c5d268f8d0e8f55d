"""One viewer on one post, as this host holds it: what is waiting, what was reached, and where updates go."""

from __future__ import annotations

from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Protocol

from showground.capabilities import Message, Position
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
    def lasting(self) -> bool:
        """Whether it must be in the snapshot before anybody hears of it. What a channel brought is replayed from history."""
        return self.channel is None


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
        self.held: dict[str, list[Message]] = {}
        """Live messages of channels whose missed ones are still being read from history."""
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

    def queue(self, event: Event) -> int:
        """Add *event*; returns how many had to be dropped: the oldest channel messages first, then the oldest of all."""
        dropped = 0
        while len(self.waiting) >= EVENTS_AT_ONCE:
            oldest = next((i for i, e in enumerate(self.waiting) if e.channel is not None), 0)
            del self.waiting[oldest]
            dropped += 1
        self.waiting.append(event)
        return dropped

    def take(self) -> list[Event]:
        taken, self.waiting = list(self.waiting), deque()
        return taken

    def input(self, with_state: bool, full: bool) -> ViewInput:
        return ViewInput(
            id=self.id,
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
