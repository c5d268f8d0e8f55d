"""What an interaction costs on the wire: bytes to whoever acts, and to each of the others. A patch that grows is a regression."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from contextlib import AsyncExitStack
from pathlib import Path

import pytest

from showground.testing.playground import Playground
from showground.testing.viewer import Viewer

APPS = Path(__file__).parents[2] / "apps"
STEPS = 6

Act = Callable[[Viewer, int], Awaitable[None]]


async def paint(viewer: Viewer, step: int) -> None:
    await viewer.press(f"Row 1, column {step + 1}: white")


async def more(viewer: Viewer, step: int) -> None:
    await viewer.press("More")


async def say(viewer: Viewer, step: int) -> None:
    await viewer.press("Say 🎉")


async def walk(viewer: Viewer, step: int) -> None:
    await viewer.press("Walk right" if step % 2 else "Walk left")


async def changed(viewer: Viewer, rev: int) -> None:
    await viewer.until(lambda: viewer.rev > rev, f"a revision after {rev}")


@pytest.mark.parametrize(
    ("folder", "act", "budget"),
    [
        ("mini_place", paint, 200),
        ("synced_progress_bar", more, 200),
        ("emoji_chat", say, 200),
        ("snoo_club", walk, 150),
    ],
)
async def test_an_interaction_costs_no_more_than_its_budget(
    playground: Playground, folder: str, act: Act, budget: int
) -> None:
    post = await (await playground.install(APPS / folder)).post()
    async with AsyncExitStack() as stack:
        viewers = [await stack.enter_async_context(post.viewer(name)) for name in ("Ada", "Grace", "Linus")]
        for viewer in viewers:
            await viewer.sees("Live")
            if folder in ("emoji_chat", "snoo_club"):
                await viewer.sees("Here: 3" if folder == "emoji_chat" else "3 here")
        before = [viewer.bytes_received for viewer in viewers]
        for step in range(STEPS):
            revs = [viewer.rev for viewer in viewers[1:]]
            await act(viewers[0], step)
            if folder == "snoo_club":
                continue
            for viewer, rev in zip(viewers[1:], revs, strict=True):
                await changed(viewer, rev)
        spent = [(v.bytes_received - b) / STEPS for v, b in zip(viewers, before, strict=True)]
        assert max(spent) <= budget, f"bytes per step, to who acted and to the others: {spent}"


async def test_what_a_server_pushes_costs_no_more_than_its_budget(playground: Playground) -> None:
    app = await playground.install(APPS / "server_push")
    post = await app.post()
    # One second into a minute: the job, which runs when one begins, stays out of what is counted.
    await playground.clock.advance(seconds=61 - playground.clock.now_ms / 1000 % 60)
    async with post.viewer("Ada") as ada:
        await ada.sees("Live")
        before, rev = ada.bytes_received, ada.rev
        # As long as what the job sends, and never the second that is on the screen already.
        await app.context.realtime.send("events", {"message": "2001-01-01 00:00:00 UTC"})
        await changed(ada, rev)
        assert ada.bytes_received - before <= 150
