"""The built-in community: posts, comments and people in Redis, `context.reddit`, and the events that they cause.

An operator's forum takes its place by offering another provider of `COMMUNITY` (docs/own-forum.md).
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from showground.capabilities import COMMUNITY, PAGES
from showground.hookspecs import Extend, Offer, Providers, Router, Services, hookimpl
from showground.model import AppVersion, Invocation
from showground_community.api import RedditApi
from showground_community.demo import DemoPages
from showground_community.forum import Forum
from showground_community.pages import CommunityPages
from showground_community.sessions import Sessions
from showground_community.site import Site
from showground_community.store import PERMANENT, Store


@asynccontextmanager
async def build(services: Services) -> AsyncIterator[Forum]:
    store = Store(services.redis, services.keys)
    sessions = Sessions(services.secret, services.clock, is_secure=services.public_url.startswith("https:"))
    yield Forum(store, sessions, services.clock, services.emit)


@hookimpl
def provide(offer: Offer) -> None:
    offer(COMMUNITY, "redis", build)
    offer.permanent(*PERMANENT)


@hookimpl
def context(invocation: Invocation, app: AppVersion, extend: Extend, providers: Providers) -> None:
    forum = providers(COMMUNITY)
    if isinstance(forum, Forum):
        extend("reddit", RedditApi(forum, invocation, app).methods(), needs="reddit")


@hookimpl
def routes(router: Router, providers: Providers) -> None:
    forum = providers(COMMUNITY)
    if isinstance(forum, Forum):
        site = Site(forum, providers(PAGES), forum.clock, router)
        CommunityPages(site).register(router)
        DemoPages(site).register(router)
