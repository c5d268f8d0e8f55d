"""What the host lends to plugins that make pages."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Literal, Protocol

from showground.capabilities.community import Member
from showground.keys import CapabilityKey
from showground.model import Frozen

if TYPE_CHECKING:
    from aiohttp import web


class MenuEntry(Frozen, frozen=True, kw_only=True):
    """A menu item of an installed app, as a page offers it."""

    app: str
    id: str
    label: str
    description: str = ""


class Pages(Protocol):
    """What the host lends to plugins that make pages: live posts as HTML, and the apps' menu items and forms."""

    async def live_post(self, request: web.Request, post_id: str, member: Member | None) -> str:
        """HTML of a live post, painted for *member*, to be put into a page as it is. The page loads `/static/client.js` and
        `/static/client.css`. Where the app fails, the HTML says so; raises `not_found` only."""
        ...

    async def post_height(self, post_id: str) -> int:
        """CSS pixels that a live post takes: 320 or 512."""
        ...

    @property
    def is_demo(self) -> bool:
        """Whether anybody may sign in as a test member."""
        ...

    def ticket(self, community: str, member: Member) -> str:
        """A viewer ticket for *member*, good for an hour, as a site's back end would make one. Demo mode only (`forbidden`)."""
        ...

    def menu_items(
        self,
        community: str,
        location: Literal["post", "comment", "subreddit"],
        member: Member | None,
        post_app: str | None,
    ) -> Sequence[MenuEntry]:
        """What *member* may press there, by app and registration; *post_app* is the app whose post it is."""
        ...

    async def press_menu_item(
        self, community: str, app: str, item: str, location: str, target_id: str, member: Member | None
    ) -> bytes:
        """Run a menu item for *member*: JSON `{"effects": [...]}` for the browser.

        Raises `forbidden`, `not_found`, or however the app ended."""
        ...

    async def submit_form(
        self, community: str, app: str, form: str, body: bytes, member: Member | None, target_id: str = ""
    ) -> bytes:
        """Run a form that a menu item (or another form) showed to *member*; *body* is JSON `{"values": {...}}`, *target_id* the
        post or comment whose menu item began it. As above."""
        ...

    def headers(self) -> Mapping[str, str]:
        """Headers that every page sends: a Content-Security-Policy without inline scripts or styles, and its companions."""
        ...


PAGES: CapabilityKey[Pages] = CapabilityKey("pages")
"""Offered by the host itself to the `routes` hook."""
