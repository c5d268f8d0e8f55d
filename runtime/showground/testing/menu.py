"""Menu items and forms in tests, pressed and sent as the community's pages do it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import msgspec

from showground.capabilities import Member, Pages


@dataclass(frozen=True)
class Menu:
    """The menu of one app in one community."""

    app: str
    community: str
    pages: Pages

    async def press(self, label: str, target: str | None, member: Member | None) -> Answer:
        """Press the item that says *label*; fails with what there is when *member* is offered no such item."""
        location: Literal["post", "comment", "subreddit"] = "subreddit"
        if target is not None:
            location = "comment" if target.startswith("t1_") else "post"
        items = [e for e in self.pages.menu_items(self.community, location, member, self.app) if e.app == self.app]
        found = next((item for item in items if item.label == label), None)
        who = member.name if member else "a stranger"
        offered = ", ".join(repr(item.label) for item in items) or "nothing"
        assert found is not None, f"{self.app} offers {who} no menu item {label!r} on a {location}; it offers {offered}"
        effects = await self.pages.press_menu_item(
            self.community, self.app, found.id, location, target or self.community, member
        )
        return self._answer(effects, member, target or "")

    async def submit(self, form: str, values: Mapping[str, Any], member: Member | None, target: str) -> Answer:
        body = msgspec.json.encode({"values": dict(values)})
        effects = await self.pages.submit_form(self.community, self.app, form, body, member, target)
        return self._answer(effects, member, target)

    def _answer(self, raw: bytes, member: Member | None, target: str) -> Answer:
        return Answer(self, msgspec.json.decode(raw)["effects"], member, target)


@dataclass(frozen=True)
class Answer:
    """What the app showed to whoever pressed."""

    menu: Menu
    effects: Sequence[Mapping[str, Any]]
    """As in docs/browser-protocol.md, in order."""
    member: Member | None
    target: str

    @property
    def toasts(self) -> list[str]:
        return [effect["text"] for effect in self.effects if effect["type"] == "toast"]

    @property
    def form(self) -> Mapping[str, Any]:
        """The form that was shown last: `title`, `fields`, …"""
        shown: Mapping[str, Any] = self._shown_form()["form"]
        return shown

    @property
    def errors(self) -> Mapping[str, str]:
        """Why a submission was refused: field → message."""
        found = [effect["errors"] for effect in self.effects if effect["type"] == "form_errors"]
        return found[-1] if found else {}

    @property
    def url(self) -> str:
        """Where the app led."""
        urls = [effect["url"] for effect in self.effects if effect["type"] == "navigate"]
        assert urls, f"the app led nowhere; it answered with {list(self.effects)}"
        return str(urls[-1])

    @property
    def post_id(self) -> str:
        """The post that the app led to."""
        last = self.url.rstrip("/").rpartition("/")[2]
        assert last.startswith("t3_"), f"the app led to {self.url}, which is no post"
        return last

    async def submit(self, **values: Any) -> Answer:
        """Fill in the form and send it, as the member to whom it was shown."""
        return await self.menu.submit(self._shown_form()["id"], values, self.member, self.target)

    def _shown_form(self) -> Mapping[str, Any]:
        forms = [effect for effect in self.effects if effect["type"] == "form"]
        assert forms, f"no form was shown; the app answered with {list(self.effects)}"
        return forms[-1]
