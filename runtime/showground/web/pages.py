"""Live posts as HTML, the page that other sites embed, and the apps' menu items: what pages are made with."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Literal

import msgspec
from aiohttp import web

from showground.apps.installations import Installations
from showground.capabilities import LivePost, Member, MenuEntry
from showground.dispatch import Dispatch, InvokeRequest, Viewer
from showground.errors import ShowgroundError
from showground.hookspecs import Router
from showground.keys import InstallationId, installation_id
from showground.model import MenuItemSpec
from showground.ops.tickets import Tickets
from showground.views.incoming import read_env
from showground.views.live import LivePosts, Painted
from showground.views.records import Env, ViewerIdentity
from showground.web.live import Identify
from showground.web.origins import Origins

Location = Literal["post", "comment", "subreddit"]
HEIGHTS = {"regular": 320, "tall": 512}


class PostPages:
    """Implements `showground.capabilities.Pages`, and serves `/embed/{post}` and `/embed.js`."""

    def __init__(
        self,
        live: LivePosts,
        installations: Installations,
        dispatch: Dispatch,
        identify: Identify,
        origins: Origins,
        static: Callable[[str], str],
        tickets: Tickets,
        is_demo: bool,
    ) -> None:
        self._live = live
        self._installations = installations
        self._dispatch = dispatch
        self._identify = identify
        self._static = static
        self._tickets = tickets
        self.is_demo = is_demo
        ancestors = " ".join(["'self'", *sorted(origins.allowed)])
        self._page_headers = _policy("'self'")
        self._embed_headers = _policy(ancestors)
        del self._embed_headers["X-Frame-Options"]

    def routes(self, router: Router) -> None:
        router("GET", "/embed/{post}", self.embed, None)

    def headers(self) -> Mapping[str, str]:
        return self._page_headers

    def ticket(self, community: str, member: Member) -> str:
        if not self.is_demo:
            raise ShowgroundError("forbidden", "tickets are made by the site's own back end", "ticket")
        return self._tickets.sign(community, member.id, member.name, is_moderator=member.is_moderator, ttl_s=3600)

    # --- live posts ---

    async def live_post(self, request: web.Request, post_id: str, member: Member | None) -> str:
        post = await self._live.post(post_id)
        viewer = ViewerIdentity(id=member.id, name=member.name, moderator=member.is_moderator) if member else None
        return await self._fragment(request, post, viewer, None)

    async def embed(self, request: web.Request) -> web.Response:
        """The page that `<showground-post>` shows in its frame: the live post and nothing else.

        `?ticket=` is the site's word about who looks, `?theme=` is `light`, `dark` or `auto`.
        """
        post = await self._live.post(request.match_info["post"])
        ticket = request.query.get("ticket") or None
        viewer = await self._identify(request, post, ticket)
        fragment = await self._fragment(request, post, viewer, ticket)
        theme = request.query.get("theme", "auto")
        theme = theme if theme in ("light", "dark") else "auto"
        page = (
            f'<!doctype html><html lang="en" data-theme="{theme}"><head><meta charset="utf-8">'
            '<meta name="viewport" content="width=device-width, initial-scale=1"><title>Live post</title>'
            f'<link rel="stylesheet" href="{self._static("client.css")}">'
            f'<script type="module" src="{self._static("client.js")}"></script></head>'
            f'<body class="sg-embed"><main><h1 class="sg-heard">Live post</h1>{fragment}</main></body></html>'
        )
        return web.Response(text=page, content_type="text/html", headers=dict(self._embed_headers))

    async def _fragment(
        self, request: web.Request, post: LivePost, viewer: ViewerIdentity | None, ticket: str | None
    ) -> str:
        height = self._height(post)
        env = read_env(request.cookies.get("showground_env"))
        try:
            painted = await self._live.paint(post, viewer or ViewerIdentity(), env)
            paint = _paint(post, painted, ticket, env)
        except ShowgroundError as error:
            # The page around it is still worth showing, and the client tries again.
            paint = msgspec.json.encode({"post": post.id, "ticket": ticket, **error.to_json()})
        return (
            f'<div class="sg-view" data-showground-view data-height="{height}" aria-busy="true">'
            f'<script type="application/json">{_in_script(paint)}</script></div>'
        )

    async def post_height(self, post_id: str) -> int:
        return self._height(await self._live.post(post_id))

    def _height(self, post: LivePost) -> int:
        installation = self._installations.get(post.installation)
        types = installation.version.registration.post_types if installation is not None else ()
        found = next((p for p in types if p.name == self._dispatch.post_type(post)), None)
        return HEIGHTS[found.height if found else "regular"]

    # --- menu items and forms ---

    def menu_items(
        self, community: str, location: Location, member: Member | None, post_app: str | None
    ) -> Sequence[MenuEntry]:
        return [
            MenuEntry(app=installation.app, id=item.id, label=item.label, description=item.description)
            for installation in self._installations.in_community(community)
            for item in installation.version.registration.menu_items
            if location in item.location
            and _may_press(item, member)
            and (location == "subreddit" or item.post_filter == "none" or installation.app == post_app)
        ]

    async def press_menu_item(
        self, community: str, app: str, item: str, location: str, target_id: str, member: Member | None
    ) -> bytes:
        installation = self._dispatch.installation(installation_id(app, community))
        spec = next((m for m in installation.version.registration.menu_items if m.id == item), None)
        if spec is None or location not in spec.location:
            raise ShowgroundError("not_found", f"{app} has no such menu item there", "menu", "Reload the page.")
        if not _may_press(spec, member):
            raise ShowgroundError("forbidden", f"{spec.label!r} is not for you", "menu", "Sign in as somebody who may.")
        payload = msgspec.json.encode({"location": location, "targetId": target_id})
        return await self._run(installation.id, "menu", item, payload, member, target_id)

    async def submit_form(
        self, community: str, app: str, form: str, body: bytes, member: Member | None, target_id: str = ""
    ) -> bytes:
        installation = self._dispatch.installation(installation_id(app, community))
        if all(f.id != form for f in installation.version.registration.forms):
            raise ShowgroundError("not_found", f"{app} has no form {form}", "form", "Reload the page.")
        return await self._run(installation.id, "form", form, body, member, target_id)

    async def _run(
        self,
        installation: InstallationId,
        kind: Literal["menu", "form"],
        name: str,
        payload: bytes,
        member: Member | None,
        target_id: str,
    ) -> bytes:
        viewer = Viewer(
            user_id=member.id if member else None,
            username=member.name if member else None,
            is_moderator=member.is_moderator if member else False,
        )
        return await self._dispatch.invoke(
            InvokeRequest(
                installation=installation,
                kind=kind,
                name=name,
                payload=payload,
                viewer=viewer,
                post_id=target_id if target_id.startswith("t3_") else None,
                comment_id=target_id if target_id.startswith("t1_") else None,
            )
        )


def _may_press(item: MenuItemSpec, member: Member | None) -> bool:
    if member is None:
        return "loggedOut" in item.for_user_type
    if "member" in item.for_user_type:
        return True
    return "moderator" in item.for_user_type and member.is_moderator


def _policy(ancestors: str) -> dict[str, str]:
    return {
        "Content-Security-Policy": (
            "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' https: data:; font-src 'self'; "
            "connect-src 'self'; frame-src 'self'; form-action 'self'; base-uri 'none'; "
            f"frame-ancestors {ancestors}"
        ),
        "X-Frame-Options": "SAMEORIGIN",
        "Cache-Control": "no-store",
        "Permissions-Policy": "camera=(), geolocation=(), microphone=(), payment=()",
    }


def _paint(post: LivePost, painted: Painted, ticket: str | None, env: Env) -> bytes:
    head = msgspec.json.encode(
        {
            "post": post.id,
            "view": painted.view,
            "resume": painted.resume,
            "rev": painted.rev,
            "ticket": ticket,
            "env": env,
        }
    )
    return b'%b,"tree":%b,"intervals":%b}' % (head[:-1], painted.tree, painted.intervals)


def _in_script(json: bytes) -> str:
    """JSON that cannot end the script element it stands in (WHATWG HTML section 4.12.1.3)."""
    return json.decode().replace("<", "\\u003c").replace("\u2028", "\\u2028")
