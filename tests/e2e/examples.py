"""The five live examples, each with something to do in one browser and the way in which the others show it."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from playwright.async_api import Locator, Page, expect

from showground.errors import ShowgroundError
from showground.testing.browser import OpenPage
from showground.testing.waiting import eventually

APPS = Path(__file__).parents[2] / "apps"
MEMBERS = ("Ada", "Grace", "Linus")
RETRY_S = 40.0
"""How long a job may take whose worker was killed: its second try waits up to 5 s, the third up to 20 s."""

Call = Callable[..., Awaitable[Any]]
"""`await call("GET", path)` with the host's root token."""


@dataclass
class Party:
    """Three members who look at one post, each with a browser profile of their own."""

    pages: Sequence[Page]
    call: Call
    step: int = 0

    async def are_live(self) -> None:
        for page in self.pages:
            await expect(page.locator(".sg-status")).to_be_empty()
            await expect(stage(page)).not_to_contain_text("Connecting")

    async def come_back(self) -> None:
        """Tell the browsers that the network is there again, as the system does, and wait until the post is live."""
        for page in self.pages:
            await page.evaluate("dispatchEvent(new Event('online'))")
        await self.are_live()


async def party(open_page: OpenPage, url: str, call: Call, example: Example) -> Party:
    """Ada, who moderates the demo, makes the app's post from the menu and is led to it; the others open it too."""
    ada = await open_page()
    await sign_in(ada, url, "Ada", "/c/playground")
    await ada.locator("details.menu summary").click()
    await ada.get_by_role("button", name=example.menu).click()
    await ada.wait_for_url("**/posts/t3_*")
    path = ada.url.removeprefix(url)

    async def join(name: str) -> Page:
        page = await open_page()
        await sign_in(page, url, name, path)
        return page

    found = Party([ada, *await asyncio.gather(*(join(name) for name in MEMBERS[1:]))], call)
    await found.are_live()
    return found


async def sign_in(page: Page, url: str, name: str, back: str) -> None:
    await page.goto(f"{url}/sign-in?back={back}")
    await page.get_by_role("button", name=name, exact=True).click()
    await page.wait_for_url(url + back)


def stage(page: Page) -> Locator:
    """The post itself, without what is said to screen readers beside it."""
    return page.locator(".sg-stage")


async def stand_still(page: Page) -> None:
    """Let none of its timers run, from before it is loaded: else the machine decides which of them come before what is waited
    for, and toasts go before they are looked at."""
    await page.clock.install(time=0)
    await page.clock.pause_at(1)


class Example:
    """One app. `act` does something in the browser of one member, and `check` waits until every browser shows it."""

    folder: str
    menu: str

    async def act(self, party: Party, actor: int) -> None:
        raise NotImplementedError

    async def check(self, party: Party) -> None:
        raise NotImplementedError

    async def step(self, party: Party, actor: int) -> None:
        party.step += 1
        await self.act(party, actor)
        await self.check(party)


class MiniPlace(Example):
    """Each step paints the next pixel of the first row."""

    folder, menu = "mini_place", "New Mini Place"

    async def act(self, party: Party, actor: int) -> None:
        name = f"Row 1, column {party.step}: white"
        await party.pages[actor].get_by_role("button", name=name).click()

    async def check(self, party: Party) -> None:
        for page in party.pages:
            for column in range(1, party.step + 1):
                pixel = page.get_by_role("button", name=f"Row 1, column {column}: black")
                await expect(pixel).to_be_visible()


class ProgressBar(Example):
    """Each step adds ten percent."""

    folder, menu = "synced_progress_bar", "New progress bar"

    async def act(self, party: Party, actor: int) -> None:
        await party.pages[actor].get_by_role("button", name="More").click()

    async def check(self, party: Party) -> None:
        for page in party.pages:
            await expect(stage(page).get_by_text(f"{10 * party.step} %", exact=True)).to_be_visible()


class EmojiChat(Example):
    """Each step says something that nobody has said yet."""

    folder, menu = "emoji_chat", "New emoji chat"

    async def act(self, party: Party, actor: int) -> None:
        self.actor, self.emoji = actor, "😎🎉🤔"[party.step // 3 % 3]
        await party.pages[actor].get_by_role("button", name=f"Say {self.emoji}").click()

    async def check(self, party: Party) -> None:
        for number, page in enumerate(party.pages):
            speaker = "You" if number == self.actor else MEMBERS[self.actor]
            words = stage(page).get_by_text(f"{speaker}: {self.emoji}", exact=True)
            await expect(words.last).to_be_visible()
            await expect(stage(page).get_by_text("Here: 3")).to_be_visible()


class SnooClub(Example):
    """Each step walks away from where the member stands."""

    folder, menu = "snoo_club", "New Snoo club"

    async def act(self, party: Party, actor: int) -> None:
        page = party.pages[actor]
        before = await self.places(page)
        name = MEMBERS[actor]
        way = "Walk right" if before[name][0] < 150 else "Walk left"
        await page.get_by_role("button", name=way).click()

        async def has_moved() -> bool:
            return (await self.places(page))[name] != before[name]

        await eventually(has_moved)

    async def check(self, party: Party) -> None:
        async def agree() -> bool:
            seen = [await self.places(page) for page in party.pages]
            return all(places == seen[0] and len(places) == len(MEMBERS) for places in seen)

        await eventually(agree)

    async def places(self, page: Page) -> dict[str, tuple[int, int]]:
        """Where each member stands, in pixels from the corner of the post."""
        post = await stage(page).bounding_box()
        assert post is not None
        places = {}
        for name in MEMBERS:
            tag = stage(page).get_by_text(name, exact=True)
            box = await tag.bounding_box() if await tag.count() == 1 else None
            if box is not None:
                places[name] = (round(box["x"] - post["x"]), round(box["y"] - post["y"]))
        return places


class ServerPush(Example):
    """Each step runs the job, whoever acts: it is the server that speaks."""

    folder, menu = "server_push", "New server push post"
    app = "/api/v1/communities/playground/apps/server-push"

    def __init__(self) -> None:
        self.told = ""

    async def act(self, party: Party, actor: int) -> None:
        before = self.told

        async def has_spoken() -> bool:
            jobs = (await party.call("GET", f"{self.app}/jobs"))["jobs"]
            if not jobs:
                return False  # its AppInstall, which plans the job, has not run yet
            try:
                await party.call("POST", f"{self.app}/jobs/{jobs[0]['id']}/run")
            except ShowgroundError as error:
                if error.code != "conflict":  # else the minute's own run is under way, which serves as well
                    raise
            messages = (await party.call("GET", f"{self.app}/channels/events/history"))["messages"]
            self.told = messages[-1]["data"]["message"] if messages else before
            return self.told != before

        await eventually(has_spoken, RETRY_S)

    async def check(self, party: Party) -> None:
        for page in party.pages:
            shown = stage(page).get_by_text(re.compile(r"^\d{4}-.* UTC$"))

            async def is_told(shown: Locator = shown) -> bool:
                return str(await shown.text_content()) >= self.told  # later, when the minute's own run came after ours

            await eventually(is_told)


EXAMPLES: tuple[type[Example], ...] = (MiniPlace, ProgressBar, EmojiChat, SnooClub, ServerPush)
