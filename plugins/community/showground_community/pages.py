"""The community's pages: its posts, one post with its comments, and the menus and forms of apps."""

from __future__ import annotations

import asyncio
from typing import Any

import msgspec
from aiohttp import web

from showground.capabilities import Member
from showground.errors import ShowgroundError
from showground.hookspecs import Router
from showground.keys import COMMUNITY_NAME, split_installation
from showground_community.records import Comment, Post, is_shown
from showground_community.site import Handler, Site, see_other

NEWEST = 3
"""Posts of each community that the first page names."""
FEED_POSTS = 10


class CommunityPages:
    def __init__(self, site: Site) -> None:
        self._site = site
        self._forum = site.forum
        self._pages = site.pages

    def register(self, router: Router) -> None:
        post = "/c/{community}/posts/{post}"
        form = self._site.form
        routes: list[tuple[str, str, Handler]] = [
            ("GET", "/", self.home),
            ("GET", "/c/{community}", self.community),
            ("GET", post, self.post),
            ("POST", "/c/{community}/posts", form(self.submit_post)),
            ("POST", post + "/comments", form(self.submit_comment)),
            ("POST", post + "/moderate", form(self.moderate)),
            ("POST", "/c/{community}/menu", self.press_menu),
            ("POST", "/c/{community}/form", self.submit_form),
        ]
        for method, path, handler in routes:
            router(method, path, handler, None)

    # --- reading ---

    async def home(self, request: web.Request) -> web.Response:
        names = await self._forum.store.communities()
        found = await asyncio.gather(*(self._forum.store.posts(name, FEED_POSTS) for name in names))
        newest = [[post for post in posts if is_shown(post, None)][:NEWEST] for posts in found]
        member = await self._site.visitor(request)
        return self._site.page(request, "home.html", member, communities=list(zip(names, newest, strict=True)))

    async def community(self, request: web.Request) -> web.Response:
        name, member = await self._where(request)
        posts = [p for p in await self._forum.store.posts(name, FEED_POSTS) if is_shown(p, member)]
        live = await asyncio.gather(*(self._live(request, p, member) for p in posts))
        return self._site.page(
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
        return self._site.page(
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

    # --- writing ---

    async def submit_post(self, request: web.Request, form: dict[str, str]) -> web.Response:
        name, member = await self._where(request)
        post = await self._forum.submit_post(name, _needed(member).id, form.get("title", ""), form.get("body", ""))
        return see_other(f"/c/{name}/posts/{post.id}")

    async def submit_comment(self, request: web.Request, form: dict[str, str]) -> web.Response:
        name, member = await self._where(request)
        post = await self._post(name, request.match_info["post"], member)
        parent = await self._thing(post, form.get("parent"))
        comment = await self._forum.submit_comment(parent.id, _needed(member).id, form.get("body", ""))
        return see_other(f"/c/{name}/posts/{post.id}#{comment.id}")

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
                return see_other(f"/c/{name}")
            await self._forum.delete_comment(thing_id, actor.id, source)
        elif action == "report":
            await self._forum.report(thing_id, form.get("reason") or "no reason given")
        elif actor.is_moderator:
            await self._forum.moderate(thing_id, actor.id, action)
        else:
            raise ShowgroundError("forbidden", "only moderators may do that", "action")
        return see_other(f"/c/{name}/posts/{post.id}")

    # --- menu items and forms of apps; answered with effects, as JSON ---

    async def press_menu(self, request: web.Request) -> web.Response:
        name, member = await self._where(request)
        asked = await self._site.json(request)
        effects = await self._pages.press_menu_item(
            name, _text(asked, "app"), _text(asked, "item"), _text(asked, "location"), _text(asked, "target"), member
        )
        return web.Response(body=effects, content_type="application/json")

    async def submit_form(self, request: web.Request) -> web.Response:
        name, member = await self._where(request)
        asked = await self._site.json(request)
        body = msgspec.json.encode({"values": asked.get("values", {})})
        effects = await self._pages.submit_form(
            name, _text(asked, "app"), _text(asked, "form"), body, member, _text(asked, "target")
        )
        return web.Response(body=effects, content_type="application/json")

    # --- inside ---

    async def _where(self, request: web.Request) -> tuple[str, Member | None]:
        name = request.match_info["community"]
        if not COMMUNITY_NAME.fullmatch(name):
            raise ShowgroundError("not_found", f"there is no community {name}", "community")
        return name, await self._forum.signed_in(request, name)

    async def _post(self, community: str, post_id: str, member: Member | None) -> Post:
        post = await self._forum.store.post(post_id)
        if post is None or post.community != community or not is_shown(post, member):
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
