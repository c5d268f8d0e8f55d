"""Subscribers of one host: each channel is listened to once, kept continuous by offset, and fanned out to callbacks.

A feed is one channel on this host. It knows the position of the last message it passed on. A live message is passed on when it
is the next one; anything else (a skipped offset, another epoch, a lost connection) makes it read the history from its
position on, which either closes the gap or proves that it cannot be closed.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Coroutine
from types import TracebackType
from typing import Self

from showground.capabilities import Message, Position, Subscribed
from showground.clock import Clock
from showground.errors import ShowgroundError
from showground.tasks import Tasks
from showground_realtime.log import ChannelId, Log, Page
from showground_realtime.settings import RealtimeSettings

log = logging.getLogger("showground.realtime")

Deliver = Callable[[Message], None]
OnGap = Callable[[], None]

READS_AT_ONCE = 16
"""Histories read at one time on a host: bounds the memory that a storm of returning clients takes."""
RETRY_S = 0.5
"""Pause before a history that could not be read is tried again."""


def is_after(one: Position, other: Position) -> bool:
    """Whether *one* tells of something that a reader at *other* has not seen."""
    return one.epoch != other.epoch or one.offset > other.offset


class HubSubscription:
    """One subscriber of a feed. Implements `capabilities.Subscription`."""

    __slots__ = ("_feed", "at", "deliver", "is_open", "on_gap", "start", "waiting")

    def __init__(self, feed: Feed, deliver: Deliver, on_gap: OnGap | None) -> None:
        self._feed = feed
        self.at: Position | None = None
        """Where the subscriber stands while it is not level with its feed; None once it takes each message as it comes."""
        self.deliver = deliver
        self.on_gap = on_gap
        self.is_open = True
        self.waiting: list[Message | None] | None = None
        """While history is read: what the feed passed on meanwhile; None stands for a gap. Bounded by the read's deadline."""
        self.start: Subscribed

    @property
    def position(self) -> Position:
        return self._feed.position if self.at is None else self.at

    def take(self, message: Message) -> None:
        """A message of the feed, for a subscriber that is not level with it."""
        if not self.is_open:
            return
        if self.waiting is not None:
            self.waiting.append(message)
        elif self.at is None or is_after(message.position, self.at):
            self.at = None
            self._feed.pass_on(self, message)

    def gap(self) -> None:
        if self.waiting is not None:
            self.waiting.append(None)
            return
        if self.is_open:
            self.at = None
            if self.on_gap is not None:
                self.on_gap()

    def catch_up(self, page: Page) -> None:
        """Pass on what was missed, then what came meanwhile, without gap or repetition."""
        meanwhile, self.waiting = self.waiting or [], None
        self.at = page.position
        for message in page.messages:
            self._feed.pass_on(self, message)
        for item in meanwhile:
            if item is None:
                self.gap()
            else:
                self.take(item)
        if self.at is not None and self.at == self._feed.position:
            self.at = None
        elif self.at is not None and self.at.epoch != self._feed.position.epoch:
            self._feed.doubt()

    async def close(self) -> None:
        if self.is_open:
            self.at = self.position
            self.is_open = False
            self._feed.leave(self)


class Feed:
    """One channel on this host."""

    def __init__(self, hub: Hub, channel: ChannelId) -> None:
        self._hub = hub
        self._channel = channel
        self._lock = asyncio.Lock()
        self._position: Position | None = None
        self._seen: Position | None = None
        """The newest position that arrived while the feed could not pass messages on."""
        self._repairing = False
        self._doubted = False
        self._members: dict[HubSubscription, None] = {}
        self._snapshot: tuple[HubSubscription, ...] | None = ()
        self.users = 0
        """Members, and those about to be."""

    @property
    def position(self) -> Position:
        assert self._position is not None
        return self._position

    # --- members -------------------------------------------------------------------------------------------------

    async def join(self, deliver: Deliver, since: Position | None, on_gap: OnGap | None) -> HubSubscription:
        self.users += 1
        member = HubSubscription(self, deliver, on_gap)
        try:
            async with self._lock:
                if self._position is None:
                    await self._open()
            if since is None or since == self.position:
                member.start = Subscribed(self.position, recovered=since is not None)
                self._admit(member)
                return member
            member.waiting = []
            self._admit(member)
            page = await self._hub.read(self._channel, since)
        except BaseException:
            member.is_open = False
            self.leave(member)
            raise
        member.start = Subscribed(page.position, page.continuous)
        member.catch_up(page)
        return member

    def _admit(self, member: HubSubscription) -> None:
        self._members[member] = None
        self._snapshot = None

    def leave(self, member: HubSubscription) -> None:
        self._members.pop(member, None)
        self._snapshot = None
        self.users -= 1
        if self.users == 0:
            self._hub.start(f"close channel {self._channel}", self._close)

    async def _open(self) -> None:
        """Listen first and look second, so that nothing falls between."""
        self._seen, self._doubted = None, False
        await self._hub.log.listen(self._channel)
        page = await self._hub.log.read(self._channel, None, 0)
        self._position = page.position
        if self._doubted or (self._seen is not None and is_after(self._seen, page.position)):
            self.doubt()

    async def _close(self) -> None:
        async with self._lock:
            if self.users:
                return
            self._position = None
            try:
                await self._hub.log.unlisten(self._channel)
            except ShowgroundError as error:
                log.warning("channel %s: could not unsubscribe: %s", self._channel, error)
            if not self.users:
                self._hub.forget(self._channel)

    # --- messages ------------------------------------------------------------------------------------------------

    def receive(self, message: Message) -> None:
        """A live message, in whatever order."""
        at, here = message.position, self._position
        if here is None or self._repairing:
            self._seen = at
        elif at.epoch == here.epoch and at.offset == here.offset + 1:
            self._position = at
            self._fan_out(message)
        elif is_after(at, here):
            self.doubt()

    def _fan_out(self, message: Message) -> None:
        members = self._snapshot
        if members is None:
            members = self._snapshot = tuple(self._members)
        for member in members:
            # The usual case without a call: this loop runs once per subscriber and message.
            if member.at is None and member.waiting is None and member.is_open:
                try:
                    member.deliver(message)
                except Exception:
                    log.exception("a subscriber of %s failed", self._channel)
            else:
                member.take(message)

    def pass_on(self, member: HubSubscription, message: Message) -> None:
        if member.is_open:
            try:
                member.deliver(message)
            except Exception:
                log.exception("a subscriber of %s failed", self._channel)

    def doubt(self) -> None:
        """Look whether something was missed; at once, and until Redis answers."""
        self._doubted = True
        if not self._repairing and self._position is not None:
            self._repairing = True
            self._seen = None
            self._hub.start(f"repair channel {self._channel}", self._repair)

    async def _repair(self) -> None:
        try:
            while self._doubted and self._position is not None:
                self._doubted = False
                since = self._position
                try:
                    page = await self._hub.read(self._channel, since)
                except ShowgroundError as error:
                    log.warning("channel %s: history could not be read, trying again: %s", self._channel, error)
                    self._doubted = True
                    await self._hub.clock.sleep(RETRY_S)
                    continue
                if self._position is since:
                    self._settle(page)
                else:  # closed meanwhile, and perhaps opened again at another point
                    self._doubted = True
        finally:
            self._repairing = False

    def _settle(self, page: Page) -> None:
        if page.continuous:
            for message in page.messages:
                self._position = message.position
                self._fan_out(message)
        else:
            self._position = page.position
            for member in tuple(self._members):
                member.gap()
        if self._seen is not None and is_after(self._seen, self.position):
            self._doubted = True
        self._seen = None

    async def check(self) -> None:
        """Compare positions with the log; finds the loss of the last message of a burst, which no later one reveals."""
        if self._repairing or self._position is None:
            return
        page = await self._hub.log.read(self._channel, None, 0)
        if self._position is not None and page.position != self._position:
            self.doubt()


class Hub:
    """All feeds of one host. Implements `log.Listener`. Use as an async context manager."""

    def __init__(self, log: Log, clock: Clock, settings: RealtimeSettings) -> None:
        self.log = log
        self.clock = clock
        self._settings = settings
        self._feeds: dict[ChannelId, Feed] = {}
        self._tasks = Tasks()
        self._reads = asyncio.Semaphore(READS_AT_ONCE)
        self._closed = False

    async def subscribe(
        self, channel: ChannelId, deliver: Deliver, since: Position | None, on_gap: OnGap | None
    ) -> HubSubscription:
        feed = self._feeds.get(channel)
        if feed is None:
            feed = self._feeds[channel] = Feed(self, channel)
        return await feed.join(deliver, since, on_gap)

    def listens_to(self, channel: ChannelId) -> bool:
        return channel in self._feeds

    async def read(self, channel: ChannelId, since: Position) -> Page:
        """All of the history after *since*, in as many reads as that takes when another host keeps more than this one."""
        async with self._reads:
            page = await self.log.read(channel, since, self._settings.history_messages)
            messages = list(page.messages)
            while page.continuous and messages and messages[-1].position != page.position:
                page = await self.log.read(channel, messages[-1].position, self._settings.history_messages)
                messages.extend(page.messages)
            return Page(page.position, page.continuous, messages if page.continuous else ())

    def on_message(self, channel: ChannelId, message: Message) -> None:
        feed = self._feeds.get(channel)
        if feed is not None:
            feed.receive(message)

    def on_doubt(self, channel: ChannelId) -> None:
        feed = self._feeds.get(channel)
        if feed is not None:
            feed.doubt()

    def start(self, name: str, work: Callable[[], Coroutine[None, None, None]]) -> None:
        if not self._closed:
            self._tasks.start(name, work())

    def forget(self, channel: ChannelId) -> None:
        self._feeds.pop(channel, None)

    async def _check_all(self) -> None:
        while True:
            await self.clock.sleep(self._settings.check_s)
            for feed in tuple(self._feeds.values()):
                try:
                    await feed.check()
                except ShowgroundError as error:
                    log.warning("positions of channels could not be checked: %s", error)
                    break

    async def __aenter__(self) -> Self:
        self._tasks.keep("check channel positions", self._check_all, self.clock.sleep)
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._closed = True
        await self._tasks.close()
