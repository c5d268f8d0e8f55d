"""All views of one post on this host: their events are collected, handed to the worker together, and told to the browsers.

Order: a view's events are handled in the order in which they came, one call at a time. Events that wait while a call runs are
taken together. Views that wait with the same events (a channel's message) share one call.
"""

from __future__ import annotations

import asyncio
import logging
from collections import defaultdict
from collections.abc import Callable, Sequence

import msgspec

from showground.capabilities import LivePost, Realtime
from showground.clock import Clock
from showground.errors import ShowgroundError
from showground.model import HostEvent
from showground.tasks import Tasks
from showground.views import messages
from showground.views.calls import Answer, PostCalls
from showground.views.feeds import Feeds
from showground.views.records import VIEWS_AT_ONCE
from showground.views.snapshots import Snapshots
from showground.views.view import Event, Reached, View

log = logging.getLogger("showground.views")

UNSAVED_MESSAGES = 200
"""Channel messages after which a view is written even though nobody pressed anything: well within a channel's history."""

REFRESH = Event({"type": "refresh"})
"""Marks, in the queue, that the browser wants the whole tree; the worker never sees it."""


class Room:
    def __init__(
        self,
        post: LivePost,
        calls: PostCalls,
        realtime: Realtime,
        snapshots: Snapshots,
        clock: Clock,
        observe: Callable[[HostEvent], None],
    ) -> None:
        self.post = post
        self.views: dict[str, View] = {}
        self.calls = calls
        self._snapshots = snapshots
        self._clock = clock
        self._observe = observe
        self._tasks = Tasks()
        self._feeds = Feeds(post.installation, realtime, clock, self._tasks, self.queue)
        self._ready: set[View] = set()
        self._collecting = False

    async def close(self) -> None:
        await self._tasks.close()
        await self._feeds.close()

    def enter(self, view: View) -> None:
        """Serve *view* from now on: its channels come up, and async hooks that waited go on."""
        self.views[view.id] = view
        self._feeds.follow(view, view.reached.channels)
        if view.reached.more:
            self._start_async(view)

    def leave(self, view: View) -> None:
        """The browser is gone; the snapshot remembers the view."""
        view.gone = True
        if self.views.get(view.id) is view:
            del self.views[view.id]
        self._ready.discard(view)
        self._feeds.forget(view)

    async def save_unsaved(self, view: View) -> None:
        """Write what only channel messages changed, so that a resume elsewhere replays less."""
        if view.unsaved and not view.busy:
            await self._save(view)

    def queue(self, view: View, event: Event) -> None:
        if view.gone:
            return
        if dropped := view.queue(event):
            log.warning("%s: view fell behind, %d events were dropped", self.post.id, dropped)
            self._observe(HostEvent(name="view_events_dropped", at_ms=self._clock.now_ms(), value=dropped))
        if not view.busy:
            self._ready.add(view)
            self._collect_soon()

    # --- the pump ---

    def _collect_soon(self) -> None:
        if not self._collecting:
            self._collecting = True
            asyncio.get_running_loop().call_soon(self._collect)

    def _collect(self) -> None:
        self._collecting = False
        groups: dict[tuple[int, ...], tuple[list[Event], list[View]]] = defaultdict(lambda: ([], []))
        for view in self._ready:
            events = view.take()
            if events:
                view.busy = True
                group = groups[tuple(map(id, events))]
                group[0][:] = events
                group[1].append(view)
        self._ready.clear()
        for events, views in groups.values():
            for start in range(0, len(views), VIEWS_AT_ONCE):
                part = views[start : start + VIEWS_AT_ONCE]
                self._tasks.start(f"views: {self.post.id}", self._handle(part, events))

    async def _handle(self, views: Sequence[View], events: Sequence[Event]) -> None:
        try:
            await self._run(views, events)
        finally:
            for view in views:
                view.busy = False
                if view.waiting and not view.gone:
                    self._ready.add(view)
            if self._ready:
                self._collect_soon()

    async def _run(self, views: Sequence[View], events: Sequence[Event]) -> None:
        full = REFRESH in events
        bodies = [event.body for event in events if event is not REFRESH]
        try:
            answers = await self.calls.handle(views, bodies, full)
        except ShowgroundError as error:
            self._failed(views, events, error)
            return
        lasting = any(event.lasting for event in events)
        ack = max((event.seq for event in events if event.seq is not None), default=None)
        kept: list[tuple[View, Answer, int]] = []
        for view, answer in zip(views, answers, strict=True):
            if view.gone:
                continue
            base = view.reached.rev
            self._reach(view, answer, ack, events)
            kept.append((view, answer, base))
        if lasting:
            await self._save_all([view for view, _, _ in kept])
        else:
            await self._save_all([view for view, _, _ in kept if view.unsaved >= UNSAVED_MESSAGES])
        for view, answer, base in kept:
            self._tell(view, answer, base, ack)

    def _reach(self, view: View, answer: Answer, ack: int | None, events: Sequence[Event]) -> None:
        result, before = answer.result, view.reached
        view.cached = True
        view.reached = Reached(
            rev=answer.rev,
            state=before.state if result.state is None else result.state,
            ack=before.ack if ack is None else ack,
            channels=before.channels if result.channels is None else result.channels,
            intervals=before.intervals if result.intervals is None else result.intervals,
            more=result.more,
        )
        for event in events:
            if event.channel is not None and event.position is not None:
                view.applied[event.channel] = event.position
                view.unsaved += 1
        if view.reached.channels != before.channels:
            self._feeds.follow(view, view.reached.channels)
            view.applied = {name: at for name, at in view.applied.items() if name in view.reached.channels}
        if result.more and (not before.more or any(event.body.get("type") == "async_answer" for event in events)):
            self._start_async(view)  # also when what the data depends on has changed while it was loaded

    def _tell(self, view: View, answer: Answer, base: int, ack: int | None) -> None:
        connection = view.connection
        if connection is None or view.gone:
            return
        if connection.is_slow and ack is None:
            # Held back, not lost: the state has it, and the newest tree follows when there is room again.
            view.stale = True
            return
        if view.stale and answer.result.tree is None:
            self.queue(view, REFRESH)
        if answer.result.tree is not None:
            view.stale = False
        message = messages.update(answer.result, base, answer.rev, ack)
        if message is not None:
            connection.send(message)

    def _failed(self, views: Sequence[View], events: Sequence[Event], error: ShowgroundError) -> None:
        """Nothing of it is in any state. Viewers who did something are told; their browsers do not send it again."""
        log.warning("%s: %s", self.post.id, error)
        self._observe(HostEvent(name="view_failed", at_ms=self._clock.now_ms(), labels={"outcome": error.code}))
        ack = max((event.seq for event in events if event.seq is not None), default=None)
        for view in views:
            view.cached = False
            if ack is not None and view.connection is not None:
                view.reached = msgspec.structs.replace(view.reached, ack=ack)
                view.connection.send(
                    b'{"type":"update","rev":%d,"base":%d,"effects":%b,"ack":%d}'
                    % (view.reached.rev, view.reached.rev, messages.error_effect(error.message), ack)
                )

    # --- snapshots ---

    async def _save_all(self, views: Sequence[View]) -> None:
        if views:
            await asyncio.gather(*(self._save(view) for view in views))

    async def _save(self, view: View) -> None:
        """Write the view; one that another host has taken over is let go, without a word to its browser, which is there now."""
        unsaved = view.unsaved
        try:
            mine = await self._snapshots.save(view.snapshot(self.post.id, self.post.installation), view.fence)
        except ShowgroundError as error:
            log.warning("%s: a view could not be saved: %s", self.post.id, error)
            self._part(view, "the store is away", error.retry_after or 2.0)
            return
        view.unsaved -= unsaved
        if not mine:
            self._part(view, "continued elsewhere", None)

    def _part(self, view: View, reason: str, retry_after: float | None) -> None:
        """Let the browser come back and send again what was not acknowledged; the snapshot decides what is so."""
        self.leave(view)
        if view.connection is not None:
            view.connection.close(reason, retry_after)

    # --- async hooks ---

    def _start_async(self, view: View) -> None:
        self._tasks.start(f"views: async hooks of {self.post.id}", self._run_async(view))

    async def _run_async(self, view: View) -> None:
        try:
            [answer] = await self.calls.handle([view], [{"type": "async_start"}])
        except ShowgroundError as error:
            log.warning("%s: async hooks failed: %s", self.post.id, error)
            return
        if answer.result.answer is not None:
            self.queue(view, Event({"type": "async_answer", "data": answer.result.answer}))
