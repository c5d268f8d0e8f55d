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
HISTORY_PAGE = 200


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
                view.held[name] = []
                self._tasks.start(f"views: join {name}", self._join(view, feed))

    def forget(self, view: View) -> None:
        """*view* is gone from this host."""
        for feed in list(self._feeds.values()):
            if view in feed.views:
                self._leave(view, feed)

    async def close(self) -> None:
        """End every subscription."""
        for feed in self._feeds.values():
            await _closed(feed)
        self._feeds.clear()

    def _leave(self, view: View, feed: Feed) -> None:
        feed.views.discard(view)
        view.held.pop(feed.name, None)
        view.positions.pop(feed.name, None)
        if not feed.views:
            del self._feeds[feed.name]
            with suppress(RuntimeError):  # a closing room ends its subscriptions itself
                self._tasks.start(f"views: leave {feed.name}", _closed(feed))

    async def _join(self, view: View, feed: Feed) -> None:
        """Bring the view from where it stood to where the channel is, then let live messages through."""
        while view in feed.views and not view.gone:
            try:
                subscription = await self._subscribed(feed)
                since = view.positions.get(feed.name)
                recovered = await self._recover(view, feed, since) if since is not None else None
            except ShowgroundError as error:
                log.warning("%s: channel %s is not connected yet: %s", self._installation, feed.name, error)
                await self._clock.sleep(error.retry_after or RETRY_S)
                continue
            if view not in feed.views:
                return
            start = None if recovered else subscription.position
            if start is not None:
                view.positions[feed.name] = start
            held = view.held.pop(feed.name, [])
            self._queue(view, _status(feed.name, True, recovered, start))
            for message in held:
                self._pass(view, feed.name, message)
            return

    async def _recover(self, view: View, feed: Feed, since: Position) -> bool:
        """Queue everything after *since*; False when history does not reach back that far (then nothing is queued)."""
        while True:
            missed, stand = await self._realtime.history(self._installation, feed.name, since, HISTORY_PAGE)
            if not stand.recovered:
                return False
            for message in missed:
                self._pass(view, feed.name, message)
            if not missed or missed[-1].position.offset >= stand.position.offset:
                return True
            since = missed[-1].position

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
        for view in feed.views:
            held = view.held.get(feed.name)
            if held is not None:
                held.append(message)
            elif _is_new(view, feed.name, message):
                view.positions[feed.name] = message.position
                self._queue(view, event)

    def _pass(self, view: View, name: str, message: Message) -> None:
        if _is_new(view, name, message):
            view.positions[name] = message.position
            self._queue(view, _message(name, message))

    def _gap(self, feed: Feed) -> None:
        start = feed.subscription.position if feed.subscription is not None else None
        lost = _status(feed.name, False, None, None)
        again = _status(feed.name, True, False, start)
        for view in feed.views:
            if feed.name in view.held:
                view.held[feed.name].clear()
                continue
            if start is not None:
                view.positions[feed.name] = start
            self._queue(view, lost)
            self._queue(view, again)


async def _closed(feed: Feed) -> None:
    if feed.subscription is not None:
        subscription, feed.subscription = feed.subscription, None
        with suppress(ShowgroundError):
            await subscription.close()


def _is_new(view: View, name: str, message: Message) -> bool:
    known = view.positions.get(name)
    return known is None or known.epoch != message.position.epoch or message.position.offset > known.offset


def _message(name: str, message: Message) -> Event:
    body = {"type": "message", "channel": name, "data": message.data}
    return Event(body, channel=name, position=message.position)


def _status(name: str, connected: bool, recovered: bool | None, position: Position | None) -> Event:
    body: dict[str, object] = {"type": "channel", "channel": name, "connected": connected}
    if recovered is not None:
        body["recovered"] = recovered
    return Event(body, channel=name, position=position)
