"""What a viewer did is on the screen at once, and acknowledged when it is kept; what was not kept in between is done again."""

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from showground.keys import KeySpace
from showground.redis.api import Redis
from showground.testing.host import HostUnderTest, running_host
from showground.testing.viewer import Viewer
from showground.testing.waiting import eventually
from showground.views.records import Snapshot
from showground.views.snapshots import Saved, Snapshots

TALLY = Path(__file__).parent / "tally"


class Watcher(Viewer):
    """A viewer who remembers every message, and what was on the screen after it."""

    def __init__(self, url: str, post: str) -> None:
        super().__init__(url, post)
        self.heard: list[dict[str, Any]] = []
        self.screens: list[str] = []

    async def _take(self, message: dict[str, Any]) -> None:
        await super()._take(message)
        self.heard.append(message)
        own = self.text.split("\n")[0]
        if not self.screens or self.screens[-1] != own:
            self.screens.append(own)


@pytest.fixture
async def host(tmp_path: Path, redis_url: str, keys: KeySpace) -> AsyncIterator[HostUnderTest]:
    async with running_host(tmp_path, redis_url, keys.prefix) as host:
        await host.install(TALLY)
        yield host


@pytest.fixture
async def viewer(host: HostUnderTest) -> AsyncIterator[Watcher]:
    """Someone who sees the post, and for whom nothing is under way any more."""
    async with Watcher(host.host.url, await host.submit_post("tally")) as viewer:
        await viewer.sees("channel here")
        await viewer.sees("greeting hello")
        yield viewer


@asynccontextmanager
async def writes_held_up(redis: Redis) -> AsyncIterator[list[str]]:
    """Redis answers no command that writes until the end. Gives the views that hosts have begun to save since."""
    saving: list[str] = []
    save = Snapshots.save

    async def told(self: Snapshots, snapshot: Snapshot, fence: int) -> Saved:
        saving.append(snapshot.view)
        return await save(self, snapshot, fence)

    await redis.call("CLIENT", "PAUSE", 30_000, "WRITE")
    try:
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(Snapshots, "save", told)
            yield saving
    finally:
        await redis.call("CLIENT", "UNPAUSE")


async def lose_what_is_held_up(redis: Redis, viewer: Viewer, saving: Sequence[str]) -> None:
    """Cut every other connection to Redis once what *viewer* did is on its way there, and waits: it is never run."""
    await eventually(lambda: viewer.view in saving)

    async def something_waits() -> bool:
        return b"\r\nblocked_clients:0\r\n" not in await redis.call("INFO", "clients")

    await eventually(something_waits)
    await redis.call("CLIENT", "KILL", "TYPE", "normal", "SKIPME", "yes")


async def test_a_press_is_seen_before_it_is_kept_and_acknowledged_after(redis: Redis, viewer: Watcher) -> None:
    async with writes_held_up(redis):
        await viewer.press("Add own", wait=False)
        await viewer.sees("own 1")
        shown = viewer.heard[-1]
        assert (shown["seq"], "ack" in shown, viewer.ack) == (1, False, 0)
    await viewer.until(lambda: viewer.ack == 1, "the acknowledgement")
    assert viewer.heard[-1] == {"type": "update", "rev": shown["rev"], "base": shown["rev"], "ack": 1}


async def test_what_was_seen_but_not_kept_is_taken_back_and_done_once(redis: Redis, viewer: Watcher) -> None:
    await viewer.press("Add own")
    async with writes_held_up(redis) as saving:
        await viewer.press("Add own", wait=False)
        await viewer.sees("own 2")
        await lose_what_is_held_up(redis, viewer, saving)
        await viewer.until(lambda: viewer.farewell, "a farewell")
    assert viewer.ack == 1
    await viewer.connect()
    await viewer.until(lambda: viewer.ack == 2, "the acknowledgement")
    assert viewer.resumed
    assert viewer.screens == ["own 0", "own 1", "own 2", "own 1", "own 2"]
    await viewer.press("Add own")
    await viewer.sees("own 3")


async def test_an_effect_waits_until_what_caused_it_is_kept_so_that_it_comes_once(
    redis: Redis, viewer: Watcher
) -> None:
    async with writes_held_up(redis) as saving:
        await viewer.press("Add and toast", wait=False)
        await viewer.sees("own 1")
        await lose_what_is_held_up(redis, viewer, saving)
        await viewer.until(lambda: viewer.farewell, "a farewell")
    assert viewer.toasts == []
    await viewer.connect()
    await viewer.until(lambda: viewer.ack == 1, "the acknowledgement")
    assert viewer.toasts == ["Added"]
    assert "own 1" in viewer.text


async def test_another_host_goes_on_from_what_was_kept(
    tmp_path: Path, redis: Redis, redis_url: str, keys: KeySpace, viewer: Watcher
) -> None:
    async with running_host(tmp_path / "other", redis_url, keys.prefix) as other:
        async with writes_held_up(redis) as saving:
            await viewer.press("Add own", wait=False)
            await viewer.sees("own 1")
            await eventually(lambda: viewer.view in saving)
            await viewer.cut()
            await lose_what_is_held_up(redis, viewer, saving)
        viewer.url = other.host.url
        await viewer.connect()
        await viewer.until(lambda: viewer.ack == 1, "the acknowledgement")
        assert viewer.screens == ["own 0", "own 1", "own 0", "own 1"]
        await viewer.press("Add own")
        await viewer.sees("own 2")
