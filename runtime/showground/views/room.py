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
from showground.views.calls import Answer, First, PostCalls
from showground.views.feeds import Feeds
from showground.views.records import VIEWS_AT_ONCE
from showground.views.snapshots import Snapshots
from showground.views.view import Event, Reached, View

log = logging.getLogger("showground.views")

TRIES = 6
"""Calls in a row that may come to nothing for reasons that pass, before the viewer is told."""
FIRST_PAUSE_S, LONGEST_PAUSE_S = 0.1, 2.0
SLOW_LOOK_S = 0.25
SHOW_FIRST_S = 0.003
"""From telling the browser what a press did until it is kept. Keeping it takes the host and Redis half a millisecond, and on a
small machine whose browser is near, the picture waited for that: two cores, a counter, until it is laid out: 1.24 of ReactPy's
time without this pause, 1.08 with it (2026-11-28). The loop's own time: no promise depends on it."""
UNSAVED_MESSAGES = 200
"""Channel messages after which a view is written even though nobody pressed anything: well within a channel's history."""

Moved = tuple[View, Answer, int]
"""A view, what became of it, and the revision from which it went on."""

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
        self._name = f"views: {post.id}"
        self._pressed: dict[View, Callable[[], None]] = {}
        """Views whose call no task waits for, and what cancels it."""
        self._ready: set[View] = set()
        self._collecting = False
        self._closed = False

    async def close(self) -> None:
        self._closed = True
        for cancel in self._pressed.values():
            cancel()
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
        view.has_room.set()
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
        if not view.queue(event):
            # Channel messages never get here (feeds keep them in history); the browser sends again what it did.
            log.warning("%s: a view fell behind and has to reconnect", self.post.id)
            self._observe(HostEvent(name="view_fell_behind", at_ms=self._clock.now_ms()))
            self.part(view, "too many events wait", 1.0)
            return
        if view.busy or self._closed:
            return
        if event.seq is not None:  # nobody else has this event, so there is nothing to collect
            self._ready.discard(view)
            self._press(view, view.take())
        else:
            self._ready.add(view)
            if not self._collecting:
                self._collect_soon()

    # --- the pump ---

    def _collect_soon(self) -> None:
        if not self._collecting and not self._closed:
            self._collecting = True
            asyncio.get_running_loop().call_soon(self._collect)

    def _collect(self) -> None:
        self._collecting = False
        if self._closed:
            return
        groups: dict[tuple[int, ...], tuple[list[Event], list[View]]] = defaultdict(lambda: ([], []))
        for view in self._ready:
            events = view.take()
            if events:
                group = groups[tuple(map(id, events))]
                group[0][:] = events
                group[1].append(view)
        self._ready.clear()
        for events, views in groups.values():
            for start in range(0, len(views), VIEWS_AT_ONCE):
                self._begin(views[start : start + VIEWS_AT_ONCE], events)

    def _begin(self, views: Sequence[View], events: Sequence[Event]) -> None:
        for view in views:
            view.busy = True
        self._tasks.start(self._name, self._handle(views, events))

    def _press(self, view: View, events: Sequence[Event]) -> None:
        """`_begin` for what a viewer did, who waits for it: the worker is asked, and the viewer shown its answer, in the turn of
        the loop that brought the one and the other."""
        view.busy = True
        seq = max(event.seq for event in events if event.seq is not None)

        def answered(first: First) -> None:
            self._pressed.pop(view, None)
            if self._closed:
                return
            is_shown = False
            if isinstance(first, list) and first[0].is_final and not _starts(events):
                self._show(view, first[0], view.reached.rev, seq)
                is_shown = True
            self._tasks.start(self._name, self._handle([view], events, first, is_shown))

        try:
            cancel = None if REFRESH in events else self.calls.begin(view, [event.body for event in events], answered)
        except ShowgroundError as error:
            answered(error)
            return
        except Exception:  # the task meets the same fault, and tells of it
            cancel = None
        if cancel is None:
            self._begin([view], events)
        else:
            self._pressed[view] = cancel

    async def _handle(
        self, views: Sequence[View], events: Sequence[Event], first: First | None = None, is_shown: bool = False
    ) -> None:
        try:
            pause_s = await self._run(views, events, first, is_shown)
            if pause_s:
                await self._clock.sleep(pause_s)
        finally:
            for view in views:
                view.busy = False
                if view.waiting and not view.gone:
                    self._ready.add(view)
            if self._ready:
                self._collect_soon()

    async def _run(self, views: Sequence[View], events: Sequence[Event], first: First | None, is_shown: bool) -> float:
        """Returns after how many seconds the views may be tried again; 0: at once."""
        full = REFRESH in events
        bodies = [event.body for event in events if event is not REFRESH]
        try:
            answers = await self.calls.handle(views, bodies, full, first)
        except ShowgroundError as error:
            return await self._failed(views, events, error)
        except Exception as error:
            log.exception("%s: a fault of the host", self.post.id)
            fault = ShowgroundError("internal", f"a fault of the host: {type(error).__name__}", self.post.id)
            return await self._failed(views, events, fault)
        ack = max((event.seq for event in events if event.seq is not None), default=None)
        gone_on: list[Moved] = []
        pause_s = 0.0
        for view, answer in zip(views, answers, strict=True):
            if view.gone:
                continue
            if answer.failure is not None:
                pause_s = max(pause_s, await self._failed([view], events, answer.failure))
                continue
            base = view.reached.rev
            view.tries = 0
            self._reach(view, answer, ack, events)
            gone_on.append((view, answer, base))
        if ack is not None and not _starts(events):
            for view, answer, base in [] if is_shown else gone_on:
                self._show(view, answer, base, ack)
            await asyncio.sleep(SHOW_FIRST_S)
            await self._save_all([view for view, _, _ in gone_on])
            for view, answer, _ in gone_on:
                self._acknowledge(view, answer, ack)
        else:
            lasting = any(event.lasting for event in events)
            await self._save_all([view for view, _, _ in gone_on if lasting or view.unsaved >= UNSAVED_MESSAGES])
            made: dict[
                tuple[int, int, int], bytes | None
            ] = {}  # views of one revision that share a result share the message
            for view, answer, base in gone_on:
                same = (id(answer.result), base, answer.rev)
                if same not in made:
                    made[same] = messages.update(answer.result, base, answer.rev, ack)
                self._tell(view, answer, made[same], ack)
        return pause_s

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
        if result.channels is not None and result.channels != before.channels:
            self._feeds.follow(view, view.reached.channels)
            view.applied = {name: at for name, at in view.applied.items() if name in view.reached.channels}
        if result.more and (not before.more or any(event.body.get("type") == "async_answer" for event in events)):
            self._start_async(view)  # also when what the data depends on has changed while it was loaded

    def _show(self, view: View, answer: Answer, base: int, seq: int) -> None:
        """Let the viewer see what their event *seq* did while it is being kept. Until it is acknowledged it may be taken back:
        the browser keeps the event, and a resume from the older snapshot draws what is there and runs the event again."""
        self._send(view, answer, messages.shown(answer.result, base, answer.rev, seq))

    def _acknowledge(self, view: View, answer: Answer, ack: int) -> None:
        if view.connection is not None and not view.gone:
            view.connection.send(messages.kept(answer.result.effects, answer.rev, ack))

    def _tell(self, view: View, answer: Answer, message: bytes | None, ack: int | None) -> None:
        if view.connection is not None and view.connection.is_slow and ack is None and not view.gone:
            # Held back, not lost: the state has it, and the newest tree follows when there is room again.
            if not view.stale:
                view.stale = True
                self._tasks.start(f"views: wait for a slow browser on {self.post.id}", self._refresh_later(view))
            return
        self._send(view, answer, message)

    def _send(self, view: View, answer: Answer, message: bytes | None) -> None:
        if view.connection is None or view.gone:
            return
        if answer.result.tree is not None:
            view.stale = False
        elif view.stale:
            self.queue(view, REFRESH)
        if message is not None:
            view.connection.send(message)

    async def _refresh_later(self, view: View) -> None:
        """Send the newest tree once the browser has read what waits for it, even if nothing more happens until then."""
        while view.stale and not view.gone:
            await self._clock.sleep(SLOW_LOOK_S)
            if view.connection is not None and not view.connection.is_slow:
                self.queue(view, REFRESH)
                return

    async def _failed(self, views: Sequence[View], events: Sequence[Event], error: ShowgroundError) -> float:
        """Nothing of it is in any state. What passes is tried again, after the pause that is returned; channel messages also when
        a worker died, because nobody sends them again. Viewers whose own events came to nothing are told."""
        log.warning("%s: %s", self.post.id, error)
        self._observe(HostEvent(name="view_failed", at_ms=self._clock.now_ms(), labels={"outcome": error.code}))
        tries = max(view.tries for view in views) + 1
        passes = error.kind.temporary and tries < TRIES
        again: Sequence[Event] = ()
        if passes and error.kind.fault == "system":
            again = events
        elif passes and error.code in ("worker_died", "protocol_error"):
            again = [event for event in events if event.channel is not None]
        given_up = [event for event in events if event not in again]
        ack = max((event.seq for event in given_up if event.seq is not None), default=None)
        to_tell: list[View] = []
        for view in views:
            view.cached = False
            if view.gone:
                continue
            if error.code == "not_found":
                self.part(view, "the app is not installed any more", None)
                continue
            view.tries = tries if again else 0
            view.put_back(again)
            for channel in {e.channel for e in given_up if e.channel is not None and e.body["type"] == "message"}:
                self._feeds.tell_gap(view, channel, None)
            if ack is not None:
                view.reached = msgspec.structs.replace(view.reached, ack=ack)
                to_tell.append(view)
        await self._save_all(to_tell)  # before its browser forgets them: who resumes the view must not wait for them
        for view in to_tell:
            if view.connection is not None and not view.gone:
                view.connection.send(
                    b'{"type":"update","rev":%d,"base":%d,"effects":%b,"ack":%d}'
                    % (view.reached.rev, view.reached.rev, messages.error_effect(error.message), view.reached.ack)
                )
        return _pause_s(tries, error) if again else 0.0

    # --- snapshots ---

    async def _save_all(self, views: Sequence[View]) -> None:
        if len(views) == 1:  # without a task of its own: what a viewer did is kept one turn of the loop sooner
            await self._save(views[0])
        elif views:
            await asyncio.gather(*(self._save(view) for view in views))

    async def _save(self, view: View) -> None:
        """Write the view; one that another host has taken over is let go, without a word to its browser, which is there now."""
        unsaved = view.unsaved
        try:
            saved = await self._snapshots.save(view.snapshot(self.post.id, self.post.installation), view.fence)
        except ShowgroundError as error:
            log.warning("%s: a view could not be saved: %s", self.post.id, error)
            self.part(view, "the store is away", error.retry_after or 2.0)
            return
        view.unsaved -= unsaved
        if saved == "taken":
            self.part(view, "continued elsewhere", None)
        elif saved == "gone":
            self.part(view, "the view is not kept any more", 1.0)

    def part(self, view: View, reason: str, retry_after: float | None) -> None:
        """Let the browser come back and send again what was not acknowledged; the snapshot decides what is so."""
        self.leave(view)
        if view.connection is not None:
            view.connection.close(reason, retry_after)

    # --- async hooks ---

    def _start_async(self, view: View) -> None:
        self._tasks.start(f"views: async hooks of {self.post.id}", self._run_async(view))

    async def _run_async(self, view: View) -> None:
        for tries in range(1, TRIES + 1):
            try:
                [answer] = await self.calls.handle([view], [{"type": "async_start"}])
            except ShowgroundError as error:
                log.warning("%s: async hooks failed: %s", self.post.id, error)
                if not error.kind.temporary:
                    return
                await self._clock.sleep(_pause_s(tries, error))
                if view.gone:
                    return
            else:
                if answer.result.answer is not None:
                    self.queue(view, Event({"type": "async_answer", "data": answer.result.answer}))
                return


def _starts(events: Sequence[Event]) -> bool:
    return any(event.is_start for event in events)


def _pause_s(tries: int, error: ShowgroundError) -> float:
    """Before the next of several tries."""
    pause_s = min(FIRST_PAUSE_S * (1 << tries), LONGEST_PAUSE_S)
    return max(pause_s, min(error.retry_after or 0.0, LONGEST_PAUSE_S))
