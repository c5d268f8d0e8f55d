"""The queue before one connection: one write per turn, a bound, and the two policies."""

from __future__ import annotations

import asyncio

import pytest

from showground.capabilities import Message, Position
from showground.redis.wire import let_transports_close
from showground.testing.waiting import eventually
from showground_realtime import outbox
from showground_realtime.framing import Encoder, EventStreamFraming, WebSocketFraming
from showground_realtime.outbox import LATEST_BYTES, Flusher, Outbox, Policy


class CountingTransport(asyncio.WriteTransport):
    """Counts writes; `backlog` is what a slow reader leaves behind."""

    def __init__(self) -> None:
        super().__init__()
        self.writes: list[bytes] = []
        self.backlog = 0

    def write(self, data: bytes | bytearray | memoryview) -> None:
        self.writes.append(bytes(data))

    def get_write_buffer_size(self) -> int:
        return self.backlog

    def is_closing(self) -> bool:
        return False


def message(n: int, data: bytes | None = None) -> Message:
    return Message(Position(epoch="e", offset=n), data or b"%d" % n)


class Reader:
    def __init__(self, flusher: Flusher, encoder: Encoder, policy: Policy = "disconnect", limit: int = 1000) -> None:
        self.flusher = flusher
        self.transport = CountingTransport()
        self.overflows = 0
        self.outbox = Outbox(flusher, encoder, policy, limit, self._overflow)
        self.outbox.open(self.transport, b"hello")

    def _overflow(self) -> None:
        self.overflows += 1


async def round_of_writes(flusher: Flusher) -> None:
    """Return once *flusher* has written out all that it was given until now: what comes last leaves last."""
    last = Reader(flusher, Encoder(WebSocketFraming()))
    last.outbox.deliver(message(0))
    await eventually(lambda: len(last.transport.writes) == 2)


async def look_at_those_behind(flusher: Flusher) -> None:
    """Return once *flusher* has looked whether readers that are behind have caught up, and written for those that have."""
    last = Reader(flusher, Encoder(WebSocketFraming()), "latest")
    last.transport.backlog = LATEST_BYTES + 1
    last.outbox.deliver(message(0))
    last.transport.backlog = 0
    await eventually(lambda: len(last.transport.writes) == 2)


async def test_messages_of_one_turn_leave_in_one_write_per_reader_and_are_framed_once() -> None:
    flusher, framed = Flusher(), []

    class CountingFraming(WebSocketFraming):
        def message(self, message: Message) -> bytes:
            framed.append(message)
            return super().message(message)

    encoder = Encoder(CountingFraming())
    readers = [Reader(flusher, encoder) for _ in range(50)]
    for n in range(8):
        one = message(n)
        for reader in readers:
            reader.outbox.deliver(one)
    await round_of_writes(flusher)
    expected = b"".join(WebSocketFraming().message(message(n)) for n in range(8))
    assert all(reader.transport.writes == [b"hello", expected] for reader in readers)
    assert len(framed) == 8


async def test_the_first_message_leaves_at_once_and_those_close_behind_it_together(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(outbox, "TICK_S", 60.0)  # however slow the machine is, the others come within it
    flusher = Flusher()
    reader = Reader(flusher, Encoder(WebSocketFraming()))
    reader.outbox.deliver(message(0))
    await asyncio.sleep(0)
    frames = [WebSocketFraming().message(message(n)) for n in range(4)]
    assert reader.transport.writes == [b"hello", frames[0]]
    for n in (1, 2, 3):
        reader.outbox.deliver(message(n))
        await asyncio.sleep(0)
    assert reader.transport.writes == [b"hello", frames[0]]
    flusher._flush()  # as the loop does when the tick is over
    assert reader.transport.writes[2:] == [b"".join(frames[1:])]


async def test_a_backlog_over_the_limit_ends_the_reader_once_and_nothing_more_is_written() -> None:
    reader = Reader(Flusher(), Encoder(WebSocketFraming()))
    reader.transport.backlog = 1001
    for n in range(3):
        reader.outbox.deliver(message(n))
        await round_of_writes(reader.flusher)
    assert reader.overflows == 1
    assert reader.transport.writes == [b"hello"]


async def test_one_turn_cannot_queue_more_than_the_limit() -> None:
    reader = Reader(Flusher(), Encoder(WebSocketFraming()))
    for n in range(100):
        reader.outbox.deliver(message(n, b'"%s"' % (b"x" * 400)))
        reader.transport.backlog = sum(map(len, reader.transport.writes))
    assert reader.overflows == 1
    assert sum(map(len, reader.transport.writes)) < 2 * 1000 + 1000


async def test_a_latest_reader_gets_only_the_newest_of_what_it_was_behind_for() -> None:
    reader = Reader(Flusher(), Encoder(WebSocketFraming()), "latest")
    reader.transport.backlog = LATEST_BYTES + 1
    for n in range(5):
        reader.outbox.deliver(message(n))
        await look_at_those_behind(reader.flusher)
    assert reader.transport.writes == [b"hello"]
    reader.transport.backlog = 0
    await eventually(lambda: len(reader.transport.writes) == 2)
    assert reader.transport.writes[1:] == [WebSocketFraming().message(message(4))]
    reader.outbox.deliver(message(5))
    await round_of_writes(reader.flusher)
    assert reader.transport.writes[2:] == [WebSocketFraming().message(message(5))]


@pytest.mark.parametrize("is_chunked", [True, False])
async def test_an_event_stream_message_is_one_whole_event(is_chunked: bool) -> None:
    packed = EventStreamFraming(is_chunked).message(message(7, b"[1,\r2,\n3]"))
    event = b"id: e.7\nevent: message\ndata: [1,\ndata: 2,\ndata: 3]\n\n"
    assert packed == (b"%x\r\n%b\r\n" % (len(event), event) if is_chunked else event)


async def test_a_reader_that_left_before_its_stream_opens_is_over_without_a_fault() -> None:
    loop = asyncio.get_running_loop()
    server = await loop.create_server(asyncio.Protocol, "127.0.0.1", 0)
    async with server:
        transport, _ = await loop.create_connection(asyncio.Protocol, *server.sockets[0].getsockname())
        transport.abort()
        await eventually(lambda: transport.is_closing())
        await let_transports_close()
        left = Outbox(Flusher(), Encoder(WebSocketFraming()), "disconnect", 1000, lambda: None)
        left.open(transport, b"hello")
        assert left.is_over
