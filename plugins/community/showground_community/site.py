"""What every page of the community is made with: templates, who is before it, and forms that only our own pages can send."""

from __future__ import annotations

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
from showground_community.forum import Forum

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]


class Site:
    def __init__(self, forum: Forum, pages: Pages, clock: Clock, router: Router) -> None:
        self.forum = forum
        self.pages = pages
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
        self._templates.globals["asset"] = router.files("/community", "showground_community", "static")
        self._templates.globals["client"] = "/static/"

    async def visitor(self, request: web.Request) -> Member | None:
        """Who is signed in, on pages that belong to no community."""
        user_id = self.forum.sessions.user_of(request)
        user = await self.forum.store.user(user_id) if user_id is not None else None
        return None if user is None else Member(id=user.id, name=user.name)

    def page(self, request: web.Request, template: str, member: Member | None, **values: Any) -> web.Response:
        sessions = self.forum.sessions
        browser = sessions.browser(request)
        page = self._templates.get_template(template).render(
            member=member,
            is_demo=self.pages.is_demo,
            token=sessions.form_token(browser),
            path=request.path,
            **values,
        )
        response = web.Response(text=page, content_type="text/html", headers=dict(self.pages.headers()))
        sessions.remember(request, response, browser)
        return response

    def form(self, handler: Callable[[web.Request, dict[str, str]], Awaitable[web.Response]]) -> Handler:
        """A handler for a form of our own pages: what another site's page sends is refused, what goes wrong is a page."""

        async def handle(request: web.Request) -> web.Response:
            sent = await request.post()
            form = {name: value for name, value in sent.items() if isinstance(value, str)}
            if not self.forum.sessions.is_own_form(request, form.get("token", "")):
                raise ShowgroundError("forbidden", "the form is too old, or not ours", "form", "Load the page again.")
            try:
                return await handler(request, form)
            except ShowgroundError as error:
                page = self.page(request, "problem.html", None, error=error, back=request.headers.get("Referer", "/"))
                page.set_status(error.kind.status)
                return page

        return handle

    async def json(self, request: web.Request) -> dict[str, Any]:
        if not self.forum.sessions.is_own_form(request, request.headers.get("X-Form-Token", "")):
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


def local_path(path: str) -> str:
    """Only paths of our own: `//elsewhere` and `https://elsewhere` would lead away. So would a tab between the slashes: browsers
    drop tabs and line breaks from addresses, and read a backslash as a slash (WHATWG URL section 4.4)."""
    is_plain = path.isascii() and path.isprintable() and "\\" not in path
    return path if is_plain and path.startswith("/") and not path.startswith("//") else "/"


def see_other(path: str) -> web.Response:
    return web.Response(status=303, headers={"Location": path, "Cache-Control": "no-store"})


def _when(at_ms: int) -> str:
    return datetime.fromtimestamp(at_ms / 1000, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
