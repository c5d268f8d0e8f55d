"""The live example apps, each on a whole host: real workers, a real Redis, viewers that speak the browser protocol."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from pathlib import Path

import pytest

from showground.capabilities import PAGES, Member
from showground.keys import KeySpace
from showground.testing.host import HostUnderTest, running_host
from showground.testing.viewer import Viewer

APPS = Path(__file__).parents[2] / "apps"


@pytest.fixture
async def host(tmp_path: Path, redis_url: str, keys: KeySpace) -> AsyncIterator[HostUnderTest]:
    async with running_host(tmp_path, redis_url, keys.prefix) as host:
        yield host


async def opened(host: HostUnderTest, app: str) -> str:
    return await host.submit_post(await host.install(APPS / app))


def labels(viewer: Viewer) -> list[str]:
    return [node[1]["label"] for node in viewer.nodes() if "label" in node[1]]


async def test_a_pixel_reaches_every_viewer_and_whoever_comes_later(host: HostUnderTest) -> None:
    post = await opened(host, "mini_place")
    async with Viewer(host.host.url, post) as one, Viewer(host.host.url, post) as two:
        await one.sees("Live")
        await two.sees("Live")
        await one.press("Paint in green")
        await one.press("Row 4, column 6: white")
        painted = "Row 4, column 6: green"
        assert painted in labels(one)
        await two.until(lambda: painted in labels(two), painted)
        async with Viewer(host.host.url, post) as late:
            await late.until(lambda: painted in labels(late), painted)


async def test_pixels_of_one_post_never_show_in_another(host: HostUnderTest) -> None:
    post = await opened(host, "mini_place")
    other = await host.submit_post("mini-place")
    async with Viewer(host.host.url, post) as one, Viewer(host.host.url, other) as two:
        await one.sees("Live")
        await two.sees("Live")
        await one.press("Row 1, column 1: white")
        await two.press("Row 8, column 8: white")
        await two.until(lambda: "Row 8, column 8: black" in labels(two), "the own pixel")
        assert "Row 1, column 1: white" in labels(two)


async def test_a_pixel_is_a_short_patch(host: HostUnderTest) -> None:
    post = await opened(host, "mini_place")
    async with Viewer(host.host.url, post) as viewer:
        await viewer.sees("Live")
        await viewer.press("Row 1, column 1: white")
        before = viewer.bytes_received
        await viewer.press("Row 1, column 2: white")
        assert viewer.bytes_received - before < 400


async def test_chatters_see_each_other_arrive_and_speak_in_one_order(host: HostUnderTest) -> None:
    post = await opened(host, "emoji_chat")
    async with Viewer(host.host.url, post) as one:
        await one.sees("Here: 1")
        async with Viewer(host.host.url, post) as two:
            await two.sees("Here: 2")
            await one.sees("is here")
            await one.press("Say 🎉")
            await one.sees("You: 🎉")
            await two.sees(": 🎉")
            assert "You: 🎉" not in two.text
            await two.press("Say 🤔")
            await one.sees(": 🤔")
            chat = [line[-1] for line in one.text.splitlines() if ": " in line and line[-1] in "🎉🤔"]
            assert chat == ["🎉", "🤔"]


async def test_presence_does_not_flap_when_it_is_renewed(host: HostUnderTest) -> None:
    post = await opened(host, "emoji_chat")
    async with Viewer(host.host.url, post) as one, Viewer(host.host.url, post) as two:
        await one.sees("Here: 2")
        await two.sees("Here: 2")
        await one.tick()
        await two.tick()
        await one.tick()
        assert "has left" not in one.text + two.text
        assert "Here: 2" in one.text


async def test_a_stranger_in_the_club_has_a_name_and_walks(host: HostUnderTest) -> None:
    post = await opened(host, "snoo_club")
    async with Viewer(host.host.url, post) as one:
        await one.sees("1 here")
        async with Viewer(host.host.url, post) as two:
            await two.sees("2 here")
            await one.sees("2 here")
            names = sorted(line for line in one.text.splitlines() if line.startswith("guest "))
            assert len(names) == 2
            assert "undefined" not in one.text
            before, mine = two.tree, one.tree
            await one.press("Walk left")
            if one.tree == mine:  # at the wall already
                await one.press("Walk right")
            await two.until(lambda: two.tree != before, "somebody to move")


async def test_the_bar_is_only_moved_by_members(host: HostUnderTest) -> None:
    post = await opened(host, "synced_progress_bar")
    async with Viewer(host.host.url, post) as guest:
        await guest.sees("Live")
        await guest.sees("0 %")
        assert not [node for node in guest.nodes() if "press" in node[1]]


async def test_steps_of_many_members_add_up_and_stay_within_the_bar(
    tmp_path: Path, redis_url: str, keys: KeySpace
) -> None:
    async with running_host(tmp_path, redis_url, keys.prefix, host={"demo": True}) as host, AsyncExitStack() as stack:
        post = await opened(host, "synced_progress_bar")
        pages = host.host.plugins.provider(PAGES)
        members = []
        for name in ("ann", "bob", "cleo"):
            ticket = pages.ticket("playground", Member(id=f"t2_{name}", name=name))
            members.append(await stack.enter_async_context(Viewer(host.host.url, post, ticket)))
        for member in members:
            await member.sees("Live")
        await asyncio.gather(*(member.press("More") for member in members))
        for member in members:
            await member.sees("30 %")
            await member.sees("Last moved by")
        for _ in range(4):
            await members[0].press("Less", wait=False)
        for member in members:
            await member.sees("0 %")
            await member.sees("Last moved by ann")
        assert "30 %" not in members[1].text
