"""What there is in demo mode only: a post before several members at once, and signing in as anybody."""

from __future__ import annotations

from aiohttp import web

from showground.errors import ShowgroundError
from showground.hookspecs import Router
from showground_community.records import is_shown
from showground_community.site import Site, local_path, see_other

DEMO_MEMBERS = ("Ada", "Grace", "Linus")
DEMO_MODERATOR = "Ada"
DEMO_COMMUNITY = "playground"
MEMBER_NAME_CHARS = 24


class DemoPages:
    def __init__(self, site: Site) -> None:
        self._site = site

    def register(self, router: Router) -> None:
        router("GET", "/demo", self.demo, None)
        router("GET", "/sign-in", self.sign_in_page, None)
        router("POST", "/sign-in", self._site.form(self.sign_in), None)
        router("POST", "/sign-out", self._site.form(self.sign_out), None)

    async def demo(self, request: web.Request) -> web.Response:
        """One post in several frames, each with another member before it. `?post=` chooses the post."""
        if not self._site.pages.is_demo:
            raise ShowgroundError(
                "not_found", "this host does not run in demo mode", "/demo", "Start it with ./run demo."
            )
        name = request.query.get("community", DEMO_COMMUNITY)
        posts = [p for p in await self._site.forum.store.posts(name, 50) if p.installation and is_shown(p, None)]
        posts.sort(key=lambda p: p.created_at_ms)
        chosen = next((p for p in posts if p.id == request.query.get("post")), posts[0] if posts else None)
        frames = []
        for person, theme in zip(DEMO_MEMBERS, ("auto", "dark", "light"), strict=True):
            user = await self._site.forum.join(person)
            member = await self._site.forum.member(name, user.id)
            if member is not None:
                frames.append((member.name, self._site.pages.ticket(name, member), theme))
        frames.append(("a guest", "", "auto"))
        height = await self._site.pages.post_height(chosen.id) if chosen else 0
        who = await self._site.visitor(request)
        return self._site.page(
            request, "demo.html", who, community=name, posts=posts, chosen=chosen, frames=frames, height=height
        )

    async def sign_in_page(self, request: web.Request) -> web.Response:
        self._only_in_demo()
        back = local_path(request.query.get("back", "/"))
        return self._site.page(request, "sign_in.html", None, names=DEMO_MEMBERS, moderator=DEMO_MODERATOR, back=back)

    async def sign_in(self, request: web.Request, form: dict[str, str]) -> web.Response:
        self._only_in_demo()
        name = form.get("name", "").strip()
        if not name or len(name) > MEMBER_NAME_CHARS or not name.replace(" ", "").replace("-", "").isalnum():
            raise ShowgroundError(
                "invalid", "that is no name", "name", f"Use letters and digits, at most {MEMBER_NAME_CHARS} of them."
            )
        user = await self._site.forum.join(name)
        if user.is_app:
            raise ShowgroundError("forbidden", f"{name} is an app", "name", "Choose another name.")
        if name == DEMO_MODERATOR:
            for community in {DEMO_COMMUNITY, *await self._site.forum.store.communities()}:
                await self._site.forum.appoint(community, user.id)
        response = see_other(local_path(form.get("back", "/")))
        self._site.forum.sessions.sign_in(response, user.id)
        return response

    async def sign_out(self, request: web.Request, form: dict[str, str]) -> web.Response:
        response = see_other(local_path(form.get("back", "/")))
        self._site.forum.sessions.sign_out(response)
        return response

    def _only_in_demo(self) -> None:
        if not self._site.pages.is_demo:
            raise ShowgroundError(
                "not_found",
                "members sign in at the site that this host belongs to",
                "sign-in",
                "See docs/own-forum.md.",
            )
