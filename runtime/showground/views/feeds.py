"""The channels that the views of one post listen to: one subscription each, and for every view nothing twice or out of order."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable
from contextlib import suppress

from showground.capabilities import Message, Position, Realtime, Subscription
from showground.clock import Clock
from showground.errors import ShowgroundError
from showground.keys import InstallationId
from showground.tasks import Tasks
from showground.views.view import Event, View

log = logging.getLogger("showground.views")

RETRY_S = 2.0
AGAIN_S = 0.05
HISTORY_PAGE = 50
"""Fewer than half of the events that may wait for a view, so that a page always fits when there is room."""


class Feed:
    """One channel of one post on this host."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.views: set[View] = set()
        self.subscription: Subscription | None = None


class Feeds:
    def __init__(
        self,
        installation: InstallationId,
        realtime: Realtime,
        clock: Clock,
        tasks: Tasks,
        queue: Callable[[View, Event], None],
    ) -> None:
        self._installation = installation
        self._realtime = realtime
        self._clock = clock
        self._tasks = tasks
        self._queue = queue
        self._feeds: dict[str, Feed] = {}

    def follow(self, view: View, wanted: Iterable[str]) -> None:
        """Make *view* follow exactly the channels *wanted*; those with a known position first get what they missed."""
        names = set(wanted)
        for name, feed in list(self._feeds.items()):
            if name not in names and view in feed.views:
                self._leave(view, feed)
        for name in names:
            feed = self._feeds.setdefault(name, Feed(name))
            if view not in feed.views:
                feed.views.add(view)
                self._catch_up(view, feed, is_new=True)

    def forget(self, view: View) -> None:
        """*view* is gone from this host."""
        for feed in list(self._feeds.values()):
            if view in feed.views:
                self._leave(view, feed)

    async def close(self) -> None:
        """End every subscription; the tasks that make them have ended already."""
        for feed in self._feeds.values():
            await _closed(feed)
        self._feeds.clear()

    def _leave(self, view: View, feed: Feed) -> None:
        feed.views.discard(view)
        view.catching_up.discard(feed.name)
        view.positions.pop(feed.name, None)
        if not feed.views:
            del self._feeds[feed.name]
            with suppress(RuntimeError):  # a closing room ends its subscriptions itself
                self._tasks.start(f"views: leave {feed.name}", _closed(feed))

    def _catch_up(self, view: View, feed: Feed, *, is_new: bool) -> None:
        """Let *view* get the channel from history until it is level with the live messages."""
        view.catching_up.add(feed.name)
        with suppress(RuntimeError):  # a closing room takes nothing up any more
            self._tasks.start(f"views: join {feed.name}", self._join(view, feed, is_new))

    async def _join(self, view: View, feed: Feed, is_new: bool) -> None:
        while view in feed.views and not view.gone:
            try:
                subscription = await self._subscribed(feed)
                since = view.positions.get(feed.name)
                recovered = await self._recover(view, feed, since, subscription) if since is not None else None
            except ShowgroundError as error:
                log.warning("%s: channel %s is not connected yet: %s", self._installation, feed.name, error)
                await self._clock.sleep(error.retry_after or RETRY_S)
                continue
            # From here to the end nothing waits: the view is level with the subscription, and stays so.
            if view in feed.views and not view.gone:
                view.catching_up.discard(feed.name)
                if not recovered:
                    view.positions[feed.name] = subscription.position
                if recovered is False:
                    self._queue(view, _status(feed.name, False, None, None))
                if is_new or not recovered:
                    start = None if recovered else subscription.position
                    self._queue(view, _status(feed.name, True, recovered, start))
            break
        if not feed.views and self._feeds.get(feed.name) is not feed:
            await _closed(feed)  # everybody left while it was being subscribed

    async def _recover(self, view: View, feed: Feed, since: Position, subscription: Subscription) -> bool:
        """Queue everything after *since*, no faster than the view handles it, until it is level with *subscription*.

        False when history does not reach back that far; then what follows is not the next message."""
        is_checked = False
        while since != subscription.position and not (is_checked and _reaches(since, subscription.position)):
            await view.has_room.wait()
            if view.gone or view not in feed.views:
                return True
            missed, stand = await self._realtime.history(self._installation, feed.name, since, HISTORY_PAGE)
            if not stand.recovered:
                return False
            is_checked = True
            if view.gone or view not in feed.views:
                return True
            for message in missed:
                self._pass(view, feed.name, message)
                since = message.position
            if not missed and not _reaches(since, subscription.position):
                await self._clock.sleep(AGAIN_S)  # a message came live after history was read
        return True

    async def _subscribed(self, feed: Feed) -> Subscription:
        if feed.subscription is None:
            opened = await self._realtime.subscribe(
                self._installation, feed.name, lambda m: self._deliver(feed, m), on_gap=lambda: self._gap(feed)
            )
            if feed.subscription is None:
                feed.subscription = opened
            else:  # two views joined at the same time; one subscription is enough
                await opened.close()
        return feed.subscription

    def _deliver(self, feed: Feed, message: Message) -> None:
        event = _message(feed.name, message)
        for view in tuple(feed.views):
            if feed.name in view.catching_up:
                continue
            if view.is_full:  # it falls behind: from now on it gets them from history, at its own pace
                self._catch_up(view, feed, is_new=False)
            elif _is_new(view, feed.name, message):
                view.positions[feed.name] = message.position
                self._queue(view, event)

    def _pass(self, view: View, name: str, message: Message) -> None:
        if _is_new(view, name, message):
            view.positions[name] = message.position
            self._queue(view, _message(name, message))

    def _gap(self, feed: Feed) -> None:
        start = feed.subscription.position if feed.subscription is not None else None
        for view in tuple(feed.views):
            if feed.name not in view.catching_up:  # history will show the gap to those
                if start is not None:
                    view.positions[feed.name] = start
                self.tell_gap(view, feed.name, start)

    def tell_gap(self, view: View, name: str, start: Position | None) -> None:
        """Let the app know that messages before *start* will not come."""
        self._queue(view, _status(name, False, None, None))
        self._queue(view, _status(name, True, False, start))


async def _closed(feed: Feed) -> None:
    if feed.subscription is not None:
        subscription, feed.subscription = feed.subscription, None
        with suppress(ShowgroundError):
            await subscription.close()


def _is_new(view: View, name: str, message: Message) -> bool:
    known = view.positions.get(name)
    return known is None or known.epoch != message.position.epoch or message.position.offset > known.offset


def _reaches(one: Position, other: Position) -> bool:
    """Whether a reader at *one* has seen all that a reader at *other* has."""
    return one.epoch == other.epoch and one.offset >= other.offset


def _message(name: str, message: Message) -> Event:
    body = {"type": "message", "channel": name, "data": message.data}
    return Event(body, channel=name, position=message.position)


def _status(name: str, connected: bool, recovered: bool | None, position: Position | None) -> Event:
    body: dict[str, object] = {"type": "channel", "channel": name, "connected": connected}
    if recovered is not None:
        body["recovered"] = recovered
    return Event(body, channel=name, position=position)
