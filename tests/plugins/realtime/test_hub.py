"""What the hub does when a history takes long to read, which a test can only arrange with a log that waits."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

import pytest

from showground.capabilities import Position
from showground.clock import SystemClock
from showground.errors import ShowgroundError
from showground.testing.conformance.realtime import GAME, Received
from showground.testing.waiting import eventually
from showground_realtime.hub import Hub
from showground_realtime.log import ChannelId, Page
from showground_realtime.memory_log import MemoryLog
from showground_realtime.settings import RealtimeSettings

EVENTS = ChannelId(GAME, "events")


class WaitingLog(MemoryLog):
    """A memory log whose reads take their answer at once but return it only when `go` is set, and fail while told to."""

    def __init__(self) -> None:
        super().__init__(SystemClock(), RealtimeSettings())
        self.go = asyncio.Event()
        self.go.set()
        self.waiting = 0
        self.failures = 0

    async def read(self, channel: ChannelId, since: Position | None, limit: int) -> Page:
        if self.failures:
            self.failures -= 1
            raise ShowgroundError("store_unavailable", "not now")
        page = await super().read(channel, since, limit)
        self.waiting += 1
        await self.go.wait()
        self.waiting -= 1
        return page


@pytest.fixture
async def log() -> WaitingLog:
    return WaitingLog()


@pytest.fixture
async def hub(log: WaitingLog) -> AsyncIterator[Hub]:
    async with Hub(log, SystemClock(), RealtimeSettings()) as hub:
        log.attach(hub)
        yield hub


async def lose(log: WaitingLog, hub: Hub, *messages: bytes) -> None:
    """Append what the hub is not told of."""
    await log.unlisten(EVENTS)
    for data in messages:
        await log.append(EVENTS, data)
    await log.listen(EVENTS)


async def test_a_repair_that_outlives_its_subscribers_repeats_nothing_to_the_next(log: WaitingLog, hub: Hub) -> None:
    first = Received()
    subscription = await hub.subscribe(EVENTS, first.deliver, None, None)
    await lose(log, hub, b"1", b"2")
    log.go.clear()
    hub.on_doubt(EVENTS)
    await eventually(lambda: log.waiting == 1)
    await subscription.close()
    second = Received()
    joining = asyncio.ensure_future(hub.subscribe(EVENTS, second.deliver, None, second.on_gap))
    await eventually(lambda: log.waiting == 2)
    log.go.set()
    assert (await joining).start.position.offset == 2
    await log.append(EVENTS, b"3")
    await second.until_data([b"3"])
    assert (first.data, second.gaps) == ([], 0)


async def test_a_connection_that_is_lost_while_a_channel_opens_loses_no_message(log: WaitingLog, hub: Hub) -> None:
    log.go.clear()
    got = Received()
    joining = asyncio.ensure_future(hub.subscribe(EVENTS, got.deliver, None, got.on_gap))
    await eventually(lambda: log.waiting == 1)
    await lose(log, hub, b"1")
    hub.on_doubt(EVENTS)
    log.go.set()
    await joining
    await got.until_data([b"1"])
    assert got.gaps == 0


async def test_messages_that_come_while_history_is_read_follow_it(log: WaitingLog, hub: Hub) -> None:
    origin = (await hub.subscribe(EVENTS, lambda _: None, None, None)).position
    await log.append(EVENTS, b"1")
    log.go.clear()
    got = Received()
    joining = asyncio.ensure_future(hub.subscribe(EVENTS, got.deliver, origin, got.on_gap))
    await eventually(lambda: log.waiting == 1)
    for data in (b"2", b"3"):
        await log.append(EVENTS, data)
    assert got.data == []
    log.go.set()
    assert (await joining).start.recovered
    assert got.data == [b"1", b"2", b"3"]


async def test_a_subscriber_that_cannot_join_leaves_nothing_behind(log: WaitingLog, hub: Hub) -> None:
    log.failures = 1
    with pytest.raises(ShowgroundError):
        await hub.subscribe(EVENTS, lambda _: None, None, None)
    await eventually(lambda: not hub.listens_to(EVENTS))
    got = Received()
    await hub.subscribe(EVENTS, got.deliver, None, None)
    await log.append(EVENTS, b"1")
    await got.until_data([b"1"])


async def test_a_repair_is_tried_again_until_the_store_answers(log: WaitingLog, hub: Hub) -> None:
    got = Received()
    await hub.subscribe(EVENTS, got.deliver, None, got.on_gap)
    await lose(log, hub, b"1")
    log.failures = 1
    hub.on_doubt(EVENTS)
    await got.until_data([b"1"])
    assert got.gaps == 0
