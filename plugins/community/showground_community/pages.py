"""The community's pages: its posts, one post with its comments, menus, signing in, and the demo with several viewers."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime
from typing import Any

import jinja2
import msgspec
from aiohttp import web

from showground.capabilities import Member, Pages
from showground.clock import Clock
from showground.errors import ShowgroundError
from showground.hookspecs import Router
from showground.keys import COMMUNITY_NAME, split_installation
from showground_community.forum import Forum
from showground_community.records import Comment, Post

DEMO_MEMBERS = ("Ada", "Grace", "Linus")
DEMO_MODERATOR = "Ada"
DEMO_COMMUNITY = "playground"
NEWEST = 3
"""Posts of each community that the first page names."""
FEED_POSTS = 10
MEMBER_NAME_CHARS = 24
Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]


class CommunityPages:
    def __init__(self, forum: Forum, pages: Pages, clock: Clock) -> None:
        self._forum = forum
        self._pages = pages
        self._clock = clock
        self._templates = jinja2.Environment(
            loader=jinja2.PackageLoader("showground_community"),
            autoescape=True,
            undefined=jinja2.StrictUndefined,
            trim_blocks=True,
            lstrip_blocks=True,
            enable_async=False,
        )
        self._templates.filters["ago"] = self._ago
        self._templates.filters["when"] = _when

    def register(self, router: Router) -> None:
        url = router.files("/community", "showground_community", "static")
        client = "/static/"
        self._templates.globals["asset"] = url
        self._templates.globals["client"] = client
        post = "/c/{community}/posts/{post}"
        routes: list[tuple[str, str, Handler]] = [
            ("GET", "/", self.home),
            ("GET", "/c/{community}", self.community),
            ("GET", post, self.post),
            ("GET", "/demo", self.demo),
            ("GET", "/sign-in", self.sign_in_page),
            ("POST", "/sign-in", self._form(self.sign_in)),
            ("POST", "/sign-out", self._form(self.sign_out)),
            ("POST", "/c/{community}/posts", self._form(self.submit_post)),
            ("POST", post + "/comments", self._form(self.submit_comment)),
            ("POST", post + "/moderate", self._form(self.moderate)),
            ("POST", "/c/{community}/menu", self.press_menu),
            ("POST", "/c/{community}/form", self.submit_form),
        ]
        for method, path, handler in routes:
            router(method, path, handler, None)

    # --- reading ---

    async def home(self, request: web.Request) -> web.Response:
        names = await self._forum.store.communities()
        found = await asyncio.gather(*(self._forum.store.posts(name, FEED_POSTS) for name in names))
        newest = [[post for post in posts if _is_shown(post, None)][:NEWEST] for posts in found]
        member = await self._visitor(request)
        return self._page(request, "home.html", member, communities=list(zip(names, newest, strict=True)))

    async def community(self, request: web.Request) -> web.Response:
        name, member = await self._where(request)
        posts = [p for p in await self._forum.store.posts(name, FEED_POSTS) if _is_shown(p, member)]
        live = await asyncio.gather(*(self._live(request, p, member) for p in posts))
        return self._page(
            request,
            "community.html",
            member,
            community=name,
            posts=list(zip(posts, live, strict=True)),
            menu=self._pages.menu_items(name, "subreddit", member, None),
        )

    async def post(self, request: web.Request) -> web.Response:
        name, member = await self._where(request)
        post = await self._post(name, request.match_info["post"], member)
        comments = await self._forum.store.comments(post.id)
        return self._page(
            request,
            "post.html",
            member,
            community=name,
            post=post,
            live=await self._live(request, post, member),
            comments=_threads(post.id, comments),
            menu=self._pages.menu_items(name, "post", member, _app_of(post)),
            comment_menu=self._pages.menu_items(name, "comment", member, _app_of(post)),
        )

    async def demo(self, request: web.Request) -> web.Response:
        """One post in several frames, each with another member before it. `?post=` chooses the post."""
        if not self._pages.is_demo:
            raise ShowgroundError(
                "not_found", "this host does not run in demo mode", "/demo", "Start it with ./run demo."
            )
        name = request.query.get("community", DEMO_COMMUNITY)
        posts = [p for p in await self._forum.store.posts(name, 50) if p.installation and _is_shown(p, None)]
        posts.sort(key=lambda p: p.created_at_ms)
        chosen = next((p for p in posts if p.id == request.query.get("post")), posts[0] if posts else None)
        frames = []
        for person, theme in zip(DEMO_MEMBERS, ("auto", "dark", "light"), strict=True):
            user = await self._forum.join(person)
            member = await self._forum.member(name, user.id)
            if member is not None:
                frames.append((member.name, self._pages.ticket(name, member), theme))
        frames.append(("a guest", "", "auto"))
        height = await self._pages.post_height(chosen.id) if chosen else 0
        who = await self._visitor(request)
        return self._page(
            request, "demo.html", who, community=name, posts=posts, chosen=chosen, frames=frames, height=height
        )

    # --- signing in ---

    async def sign_in_page(self, request: web.Request) -> web.Response:
        self._only_in_demo()
        back = _local(request.query.get("back", "/"))
        return self._page(request, "sign_in.html", None, names=DEMO_MEMBERS, moderator=DEMO_MODERATOR, back=back)

    async def sign_in(self, request: web.Request, form: dict[str, str]) -> web.Response:
        self._only_in_demo()
        name = form.get("name", "").strip()
        if not name or len(name) > MEMBER_NAME_CHARS or not name.replace(" ", "").replace("-", "").isalnum():
            raise ShowgroundError(
                "invalid", "that is no name", "name", f"Use letters and digits, at most {MEMBER_NAME_CHARS} of them."
            )
        user = await self._forum.join(name)
        if user.is_app:
            raise ShowgroundError("forbidden", f"{name} is an app", "name", "Choose another name.")
        if name == DEMO_MODERATOR:
            for community in {DEMO_COMMUNITY, *await self._forum.store.communities()}:
                await self._forum.appoint(community, user.id)
        response = _see_other(_local(form.get("back", "/")))
        self._forum.sessions.sign_in(response, user.id)
        return response

    async def sign_out(self, request: web.Request, form: dict[str, str]) -> web.Response:
        response = _see_other(_local(form.get("back", "/")))
        self._forum.sessions.sign_out(response)
        return response

    def _only_in_demo(self) -> None:
        if not self._pages.is_demo:
            raise ShowgroundError(
                "not_found",
                "members sign in at the site that this host belongs to",
                "sign-in",
                "See docs/own-forum.md.",
            )

    # --- writing ---

    async def submit_post(self, request: web.Request, form: dict[str, str]) -> web.Response:
        name, member = await self._where(request)
        post = await self._forum.submit_post(name, _needed(member).id, form.get("title", ""), form.get("body", ""))
        return _see_other(f"/c/{name}/posts/{post.id}")

    async def submit_comment(self, request: web.Request, form: dict[str, str]) -> web.Response:
        name, member = await self._where(request)
        post = await self._post(name, request.match_info["post"], member)
        parent = await self._thing(post, form.get("parent"))
        comment = await self._forum.submit_comment(parent.id, _needed(member).id, form.get("body", ""))
        return _see_other(f"/c/{name}/posts/{post.id}#{comment.id}")

    async def moderate(self, request: web.Request, form: dict[str, str]) -> web.Response:
        """Moderators do what `Forum.moderate` knows; authors delete what is theirs."""
        name, member = await self._where(request)
        actor = _needed(member)
        post = await self._post(name, request.match_info["post"], member)
        action = form.get("action", "")
        thing = await self._thing(post, form.get("thing"))
        thing_id = thing.id
        if action == "delete" and (actor.is_moderator or thing.author_id == actor.id):
            source = 1 if thing.author_id == actor.id else 3
            if thing_id == post.id:
                await self._forum.delete_post(post.id, actor.id, source)
                return _see_other(f"/c/{name}")
            await self._forum.delete_comment(thing_id, actor.id, source)
        elif action == "report":
            await self._forum.report(thing_id, form.get("reason") or "no reason given")
        elif actor.is_moderator:
            await self._forum.moderate(thing_id, actor.id, action)
        else:
            raise ShowgroundError("forbidden", "only moderators may do that", "action")
        return _see_other(f"/c/{name}/posts/{post.id}")

    # --- menu items and forms of apps; answered with effects, as JSON ---

    async def press_menu(self, request: web.Request) -> web.Response:
        name, member = await self._where(request)
        asked = await self._json(request)
        effects = await self._pages.press_menu_item(
            name, _text(asked, "app"), _text(asked, "item"), _text(asked, "location"), _text(asked, "target"), member
        )
        return web.Response(body=effects, content_type="application/json")

    async def submit_form(self, request: web.Request) -> web.Response:
        name, member = await self._where(request)
        asked = await self._json(request)
        body = msgspec.json.encode({"values": asked.get("values", {})})
        effects = await self._pages.submit_form(
            name, _text(asked, "app"), _text(asked, "form"), body, member, _text(asked, "target")
        )
        return web.Response(body=effects, content_type="application/json")

    # --- inside ---

    async def _visitor(self, request: web.Request) -> Member | None:
        """Who is signed in, on pages that belong to no community."""
        user_id = self._forum.sessions.user_of(request)
        user = await self._forum.store.user(user_id) if user_id is not None else None
        return None if user is None else Member(id=user.id, name=user.name)

    async def _where(self, request: web.Request) -> tuple[str, Member | None]:
        name = request.match_info["community"]
        if not COMMUNITY_NAME.fullmatch(name):
            raise ShowgroundError("not_found", f"there is no community {name}", "community")
        return name, await self._forum.signed_in(request, name)

    async def _post(self, community: str, post_id: str, member: Member | None) -> Post:
        post = await self._forum.store.post(post_id)
        if post is None or post.community != community or not _is_shown(post, member):
            raise ShowgroundError("not_found", "there is no such post", "post", "It may have been deleted.")
        return post

    async def _thing(self, post: Post, thing_id: str | None) -> Post | Comment:
        """*post*, or the comment below it of that id: who may act in one community has no say about comments of another."""
        if not thing_id or thing_id == post.id:
            return post
        comment = await self._forum.comment(thing_id)
        if comment.post_id != post.id:
            raise ShowgroundError("not_found", "there is no such comment here", "thing", "It may have been deleted.")
        return comment

    async def _live(self, request: web.Request, post: Post, member: Member | None) -> str:
        if post.installation is None or post.removed:
            return ""
        try:
            return await self._pages.live_post(request, post.id, member)
        except ShowgroundError as error:
            if error.code != "not_found":
                raise
            return ""

    def _page(self, request: web.Request, template: str, member: Member | None, **values: Any) -> web.Response:
        sessions = self._forum.sessions
        browser = sessions.browser(request)
        page = self._templates.get_template(template).render(
            member=member,
            is_demo=self._pages.is_demo,
            token=sessions.form_token(browser),
            path=request.path,
            **values,
        )
        response = web.Response(text=page, content_type="text/html", headers=dict(self._pages.headers()))
        sessions.remember(request, response, browser)
        return response

    def _form(self, handler: Callable[[web.Request, dict[str, str]], Awaitable[web.Response]]) -> Handler:
        """A handler for a form of our own pages: what another site's page sends is refused, what goes wrong is a page."""

        async def handle(request: web.Request) -> web.Response:
            sent = await request.post()
            form = {name: value for name, value in sent.items() if isinstance(value, str)}
            if not self._forum.sessions.is_own_form(request, form.get("token", "")):
                raise ShowgroundError("forbidden", "the form is too old, or not ours", "form", "Load the page again.")
            try:
                return await handler(request, form)
            except ShowgroundError as error:
                page = self._page(request, "problem.html", None, error=error, back=request.headers.get("Referer", "/"))
                page.set_status(error.kind.status)
                return page

        return handle

    async def _json(self, request: web.Request) -> dict[str, Any]:
        if not self._forum.sessions.is_own_form(request, request.headers.get("X-Form-Token", "")):
            raise ShowgroundError("forbidden", "the page is too old, or not ours", "X-Form-Token", "Load it again.")
        try:
            return msgspec.json.decode(await request.read(), type=dict[str, Any])
        except (msgspec.DecodeError, RecursionError, UnicodeDecodeError) as error:
            raise ShowgroundError("bad_request", f"not a JSON object: {error}", "body") from None

    def _ago(self, at_ms: int) -> str:
        seconds = max(0, self._clock.now_ms() - at_ms) // 1000
        for size, name in ((86400, "day"), (3600, "hour"), (60, "minute")):
            if seconds >= size:
                count = seconds // size
                return f"{count} {name}{'s' if count > 1 else ''} ago"
        return "just now"


def _threads(post_id: str, comments: list[Comment]) -> list[tuple[Comment, int]]:
    """Comments in reading order, each with its depth; an answer to a comment that is gone stands at the top."""
    known = {comment.id for comment in comments}
    answers: dict[str, list[Comment]] = {}
    for comment in comments:
        parent = comment.parent_id if comment.parent_id in known else post_id
        answers.setdefault(parent, []).append(comment)
    found: list[tuple[Comment, int]] = []
    waiting = [(comment, 0) for comment in reversed(answers.get(post_id, []))]
    while waiting:
        comment, depth = waiting.pop()
        found.append((comment, min(depth, 6)))
        waiting.extend((answer, depth + 1) for answer in reversed(answers.get(comment.id, [])))
    return found


def _is_shown(post: Post, member: Member | None) -> bool:
    return not post.deleted and (not post.removed or (member is not None and member.is_moderator))


def _app_of(post: Post) -> str | None:
    return split_installation(post.installation)[0] if post.installation else None


def _needed(member: Member | None) -> Member:
    if member is None:
        raise ShowgroundError("unauthorized", "nobody is signed in", "session", "Sign in first.")
    return member


def _text(asked: dict[str, Any], name: str) -> str:
    value = asked.get(name)
    if not isinstance(value, str):
        raise ShowgroundError("bad_request", f"{name} is missing", name)
    return value


def _local(path: str) -> str:
    """Only paths of our own: `//elsewhere` and `https://elsewhere` would lead away. So would a tab between the slashes: browsers
    drop tabs and line breaks from addresses, and read a backslash as a slash (WHATWG URL section 4.4)."""
    is_plain = path.isascii() and path.isprintable() and "\\" not in path
    return path if is_plain and path.startswith("/") and not path.startswith("//") else "/"


def _see_other(path: str) -> web.Response:
    return web.Response(status=303, headers={"Location": path, "Cache-Control": "no-store"})


def _when(at_ms: int) -> str:
    return datetime.fromtimestamp(at_ms / 1000, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
