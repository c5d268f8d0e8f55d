"""Posts and people: what the host has to know of whichever forum stands behind it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

from showground.keys import CapabilityKey, InstallationId
from showground.model import Frozen

if TYPE_CHECKING:
    from aiohttp import web


class LivePost(Frozen, frozen=True, kw_only=True):
    """What the host must know of an interactive post to show it: whose it is, and what its app stored with it."""

    id: str
    """`t3_…`, as in Devvit."""
    installation: InstallationId
    post_type: str
    data: bytes = b"null"
    """JSON that the app gave to `submit_post(post_data=…)`; passed to the worker as it is."""


class Member(Frozen, frozen=True, kw_only=True):
    """A signed-in person as apps see one."""

    id: str
    """`t2_…`, as in Devvit."""
    name: str
    is_moderator: bool = False


class Community(Protocol):
    """Where posts and people come from: the built-in community, or an operator's own forum in its place.

    Ids come from browsers and apps as they are: whatever has no such form is unknown, and what is unknown is None. Every host
    sees a change at once. None never means that the forum did not answer: that is `store_unavailable`.
    """

    async def live_post(self, post_id: str) -> LivePost | None:
        """The interactive post of that id; None for any other post, and for one that was removed or deleted."""
        ...

    async def member(self, community: str, user_id: str) -> Member | None:
        """A person, and whether they moderate *community* now."""
        ...

    async def signed_in(self, request: web.Request, community: str) -> Member | None:
        """Who sent *request*, as a session that the browser carries proves, and as `member` has them; None for somebody who is
        not signed in, or whose session was forged or has ended."""
        ...


COMMUNITY: CapabilityKey[Community] = CapabilityKey("community")
