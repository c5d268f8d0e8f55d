"""Frames over a real socket pair: whatever the pieces they come in, whole and in order, or a named fault."""

import asyncio
import socket
import struct
from collections.abc import AsyncIterator

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from showground.errors import ShowgroundError
from showground.testing.waiting import eventually
from showground.worker import frames

LIMIT = 1 << 20


class End:
    """One end with a channel, the other a plain socket."""

    def __init__(self, limit: int = LIMIT) -> None:
        ours, self.peer = socket.socketpair()
        self.peer.setblocking(False)
        self.received: list[frames.Frame] = []
        self.closed: asyncio.Future[str | None] = asyncio.get_running_loop().create_future()
        self.channel = frames.Channel(ours, limit, self.received.append, self.closed.set_result)

    async def write(self, data: bytes) -> None:
        await asyncio.get_running_loop().sock_sendall(self.peer, data)

    async def read(self, count: int) -> bytes:
        data = b""
        while len(data) < count:
            data += await asyncio.get_running_loop().sock_recv(self.peer, count - len(data))
        return data

    def close(self) -> None:
        self.channel.close()
        self.peer.close()


@pytest.fixture
async def end() -> AsyncIterator[End]:
    end = End()
    yield end
    end.close()


def packed(value: object) -> bytes:
    body = msgspec.msgpack.encode(value)
    return struct.pack(">I", len(body)) + body


@settings(max_examples=40)
@given(
    st.lists(st.lists(st.one_of(st.integers(0, 9), st.text(), st.binary(max_size=300_000)), min_size=1), max_size=6),
    st.lists(st.integers(1, 100_000), max_size=8),
)
def test_frames_arrive_whole_and_in_order_however_they_are_cut(values: list[list[object]], cuts: list[int]) -> None:
    async def check() -> None:
        end = End(4 << 20)
        data = b"".join(packed(value) for value in values)
        for cut in [*cuts, len(data)]:
            await end.write(data[:cut])
            data = data[cut:]
            await asyncio.sleep(0)
        end.peer.shutdown(socket.SHUT_WR)
        assert await end.closed is None
        assert end.received == values
        end.close()

    asyncio.run(check())


@pytest.mark.parametrize(
    ("data", "fault"),
    [
        (struct.pack(">I", LIMIT + 1), "the limit is 1048576"),
        (packed({"a": 1}), "not an array"),
        (packed([]), "not an array"),
        (struct.pack(">I", 2) + b"\xc1\xc1", "not msgpack"),
        (struct.pack(">I", 3) + b"\x91\x01\x01", "not msgpack"),
        (struct.pack(">I", 4) + b"\x91\xd4\x05\x00", "extension type 5"),
        (struct.pack(">I", 0), "not msgpack"),
        (struct.pack(">I", 50_000) + b"\x91" * 50_000, "not msgpack"),
    ],
)
async def test_a_broken_frame_closes_the_channel_with_its_fault(end: End, data: bytes, fault: str) -> None:
    await end.write(packed([1]) + data)

    assert fault in str(await end.closed)
    assert end.received == [[1]]
    assert end.channel.closed


async def test_a_claimed_length_costs_nothing_until_its_bytes_come(end: End) -> None:
    await end.write(struct.pack(">I", LIMIT) + b"x")
    await eventually(lambda: end.channel._filled == 5)
    assert len(end.channel._room) == frames.READ_BYTES


async def test_sent_frames_keep_their_order_also_past_a_full_socket(end: End) -> None:
    values = [[number, bytes(200_000)] for number in range(8)]
    for number, value in enumerate(values):
        end.channel.send(frames.encode(value, LIMIT), at_once=number % 2 == 0)
    data = b"".join(packed(value) for value in values)

    assert await end.read(len(data)) == data
    await asyncio.sleep(0)
    assert end.channel.unsent_bytes == 0


async def test_frames_of_other_threads_come_too(end: End) -> None:
    data = packed([7])
    await asyncio.gather(*(asyncio.to_thread(end.channel.send, data, True) for _ in range(10)))
    assert await end.read(10 * len(data)) == 10 * data


async def test_a_peer_that_does_not_read_is_given_up(end: End) -> None:
    for _ in range(8):
        end.channel.send(frames.encode([bytes(LIMIT - 100)], LIMIT), at_once=True)
    assert await end.closed == "it does not read its socket"


def test_a_frame_over_the_limit_is_refused_before_it_is_sent() -> None:
    with pytest.raises(ShowgroundError) as caught:
        frames.encode([bytes(100)], 100)
    assert caught.value.code == "too_large"
