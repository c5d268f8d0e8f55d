"""Who is looking at a post: by a ticket of the site that embeds it, else by the session of our own pages."""

from __future__ import annotations

from aiohttp import web

from showground.capabilities import Community, LivePost
from showground.keys import split_installation
from showground.ops.tickets import Tickets
from showground.views.records import ViewerIdentity


class Identity:
    def __init__(self, community: Community, tickets: Tickets) -> None:
        self._community = community
        self._tickets = tickets

    async def __call__(self, request: web.Request, post: LivePost, ticket: str | None) -> ViewerIdentity | None:
        """None when nothing proves who asks. Raises `unauthorized` or `forbidden` for a ticket that is not good here.

        A ticket wins over a session: the page that embeds the post knows better who sits before it.
        """
        _, community = split_installation(post.installation)
        if ticket:
            shown = self._tickets.verify(ticket, community)
            return ViewerIdentity(id=shown.user_id, name=shown.username, moderator=shown.is_moderator)
        member = await self._community.signed_in(request, community)
        if member is None:
            return None
        return ViewerIdentity(id=member.id, name=member.name, moderator=member.is_moderator)
