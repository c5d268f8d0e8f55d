"""What a frame makes its reader raise ends the channel, whatever it is: a peer that found a fault of ours can't go on with it."""

import asyncio
import logging
import socket

import pytest

from showground.worker import frames


async def test_a_reader_that_fails_is_told_of_once_and_reads_no_more(caplog: pytest.LogCaptureFixture) -> None:
    ours, peer = socket.socketpair()
    closed: asyncio.Future[str | None] = asyncio.get_running_loop().create_future()
    taken: list[frames.Frame] = []

    def take(frame: frames.Frame) -> None:
        taken.append(frame)
        raise KeyError("a fault of ours")

    frames.Channel(ours, 100, take, closed.set_result)
    with peer, caplog.at_level(logging.ERROR):
        peer.send(frames.encode([1], 100) + frames.encode([2], 100))
        assert await closed == "a frame that could not be taken"

    assert taken == [[1]]
    assert [record.name for record in caplog.records] == ["showground.frames"]
