"""An app on the real runtime in its author's test: a host, workers and a Redis, no browser. See docs/testing-apps.md."""

from __future__ import annotations

import itertools
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import msgspec

from showground.bundle.manifest import FILE
from showground.capabilities import COMMUNITY, PAGES, Member
from showground.context.context import Context
from showground.context.redis import Redis as AppRedis
from showground.deliveries import RedisDeliveries
from showground.hookspecs import Providers
from showground.keys import InstallationId, KeySpace, installation_id
from showground.model import AppVersion, Invocation
from showground.ops.tickets import Tickets
from showground.redis.api import Redis
from showground.supervisor.broker import Broker
from showground.testing.channel import Listener
from showground.testing.clock import MovableClock
from showground.testing.host import TICKET_KEY, HostUnderTest, Neighbourly, running_host
from showground.testing.menu import Answer, Menu
from showground.testing.schedule import PlaygroundClock, Work
from showground.testing.viewer import Viewer

COMMUNITY_NAME = "playground"
MODERATOR = "Mod"
"""Who moderates the community of a playground. Every other name is a plain member's, made when it is first used."""


class AppFailed(AssertionError):
    """A handler of the app failed, or gave up; the message holds its error and the last lines of its log."""


class Playground:
    """One community on a host of its own. `install` puts apps into it."""

    def __init__(self, host: HostUnderTest, work: Work, clock: MovableClock, folder: Path | None) -> None:
        self.host = host
        self.work = work
        self.clock = PlaygroundClock(clock, work)
        """`await playground.clock.advance(minutes=1)` lets time pass, and whatever becomes due in it run."""
        self.folder = folder
        """The bundle that `install` takes when it is told none."""
        self._tickets = Tickets({"test": TICKET_KEY}, clock)

    @property
    def providers(self) -> Providers:
        """The capabilities' providers on this host."""
        return self.host.host.plugins.provider

    async def install(self, folder: Path | None = None, **settings: Any) -> App:
        """Upload and install a bundle, and wait until its `AppInstall` has run.

        Without *folder* it is the one that the test file stands in or below. *settings* are values of the app's own settings.
        Fails with every fault of the bundle at once, as `showground check` tells them; `AppFailed` when `AppInstall` failed.
        """
        folder = folder or self.folder
        assert folder is not None, f"there is no {FILE} beside this test or above it; name the bundle's folder"
        version = await self.host.host.bundles.put(folder)
        await self.host.host.lifecycle.install(COMMUNITY_NAME, version.app, version.version)
        app = App(self, version)
        if settings:
            await app.set(**settings)
        self.work.watch(app.installation)
        await self.settle()
        return app

    async def settle(self) -> None:
        """Wait until no event and no due job is outstanding. `AppFailed` when one was given up."""
        await self.work.settle()

    async def member(self, name: str) -> Member:
        """The member called *name*, who joins when there is none yet."""
        forum = self.providers(COMMUNITY)
        assert isinstance(forum, Neighbourly), "the community of this host takes no members"
        user = await forum.join(name)
        if name == MODERATOR:
            await forum.appoint(COMMUNITY_NAME, user.id)
        return Member(id=user.id, name=name, is_moderator=name == MODERATOR)

    async def ticket(self, name: str) -> str:
        """A viewer ticket, as a site's back end signs it."""
        member = await self.member(name)
        return self._tickets.sign(COMMUNITY_NAME, member.id, name, is_moderator=member.is_moderator, ttl_s=3600)


class App:
    """An installed app."""

    def __init__(self, playground: Playground, version: AppVersion) -> None:
        self.playground = playground
        self.version = version
        self.name = version.app
        self.installation: InstallationId = installation_id(version.app, COMMUNITY_NAME)
        self.context = Context(
            Invocation(
                id="test",
                installation=self.installation,
                app=version.app,
                app_version=version.version,
                community=COMMUNITY_NAME,
                kind="trigger",
                name="test",
                timeout_s=30,
            ),
            self._call,
        )
        """What the app's own handlers get: `app.context.scheduler.list_jobs()`, `app.context.realtime.send(…)`, …"""
        self._broker = Broker(playground.host.host.plugins)
        self._events = itertools.count(1)

    async def _call(self, member: str, method: str, /, *args: object) -> Any:
        return await self._broker.open(self.context._invocation, self.version).call(member, method, args)

    @property
    def redis(self) -> AppRedis:
        """The app's own keys, through the client that the app uses."""
        return self.context.redis

    async def set(self, **settings: Any) -> None:
        """Change values of the app's settings, as an operator does."""
        path = f"/api/v1/communities/{COMMUNITY_NAME}/apps/{self.name}/settings"
        await self.playground.host.call("PUT", path, json=settings)

    async def emit(self, type: str, data: Mapping[str, Any] | None = None, **more: Any) -> Any:
        """Send one event to the community and return what this app's trigger returned.

        *more* are attributes of the CloudEvent, such as `id`. Raises `AppFailed` when the handler failed, and fails when
        the app has no trigger for it. The event counts as delivered when every app's handler has ended.
        """
        answer = await self.playground.host.emit(
            type, dict(data or {}), COMMUNITY_NAME, id=more.pop("id", None) or f"test-{next(self._events)}", **more
        )
        [event] = answer["events"]
        mine = [d for d in event["deliveries"] if d["installation"] == self.installation]
        triggers = sorted(trigger.event for trigger in self.version.registration.triggers)
        assert mine, f"{self.name} has no trigger for {type}; it has {', '.join(triggers) or 'none'}"
        await self.playground.settle()
        [delivery] = mine
        if delivery["status"] != "done":
            what = f"the trigger {type} is {delivery['status']} after attempt {delivery.get('attempts', 0)}"
            raise AppFailed(await self.playground.work.told(self.installation, what, delivery.get("error")))
        return delivery.get("result")

    async def menu(self, label: str, *, as_: str | None = MODERATOR, on: Post | str | None = None) -> Answer:
        """Press the menu item that says *label*, as the member *as_* (None: nobody is signed in).

        *on* is a post, or the id of a post or comment; without it the item is the community's own.
        """
        member = await self.playground.member(as_) if as_ is not None else None
        target = on.id if isinstance(on, Post) else on
        return await self._menu().press(label, target, member)

    def _menu(self) -> Menu:
        return Menu(self.name, COMMUNITY_NAME, self.playground.providers(PAGES))

    async def post(self, data: Any = None, title: str = "A post") -> Post:
        """An interactive post of this app, as if it had submitted it with *data*."""
        assert self.version.registration.post_types, f"{self.name} has no custom post type"
        forum = self.playground.providers(COMMUNITY)
        assert isinstance(forum, Neighbourly), "the community of this host takes no posts"
        post = await forum.submit_live_post(COMMUNITY_NAME, self.installation, title, msgspec.json.encode(data))
        await self.playground.settle()
        return Post(self.playground, post)

    def post_of(self, answer: Answer) -> Post:
        """The post to which a menu item or form led."""
        return Post(self.playground, answer.post_id)

    @asynccontextmanager
    async def listen(self, channel: str) -> AsyncIterator[Listener]:
        """Hear what is published to *channel* from now on, as `showground listen` does."""
        path = f"/api/v1/communities/{COMMUNITY_NAME}/apps/{self.name}/channels/{channel}"
        host = self.playground.host
        async with host.client.ws_connect(host.host.url + path) as socket:
            listener = Listener(channel, socket)
            await listener.hello()
            yield listener


class Post:
    """A live post. Any number of viewers may look at it."""

    def __init__(self, playground: Playground, id: str) -> None:
        self.playground = playground
        self.id = id

    def viewer(self, name: str | None = None, **env: Any) -> PostViewer:
        """Somebody who looks at the post: the member *name*, or nobody. Enter it with `async with`.

        *env* are what a browser tells of itself: `width`, `height`, `color_scheme`, `locale`, `timezone`.
        """
        return PostViewer(self.playground, self.id, name, env)


class PostViewer(Viewer):
    """A viewer who comes with a ticket of their own."""

    def __init__(self, playground: Playground, post: str, name: str | None, env: Mapping[str, Any]) -> None:
        super().__init__(playground.host.host.url, post, env=env)
        self.name = name
        self._playground = playground

    async def connect(self, *, forget: bool = False) -> None:
        if self.name is not None and self.ticket is None:
            self.ticket = await self._playground.ticket(self.name)
        await super().connect(forget=forget)


@asynccontextmanager
async def running_playground(
    data_dir: Path,
    redis: Redis,
    redis_url: str,
    keys: KeySpace,
    *,
    folder: Path | None = None,
    settings: Mapping[str, Mapping[str, Any]] | None = None,
) -> AsyncIterator[Playground]:
    """A host with a movable clock, where a handler that fails is not tried again unless *settings* say so.

    *folder* is what `install` takes when it is told none; *settings* are sections of the host's settings.
    """
    clock = MovableClock()
    sections: dict[str, Any] = {name: dict(section) for name, section in (settings or {}).items()}
    sections["logs"] = {"level": "error", **sections.get("logs", {})}  # a clock that is moved looks like a stalled loop
    sections["deliveries"] = {"max_attempts": 1, **sections.get("deliveries", {})}
    async with running_host(data_dir, redis_url, keys.prefix, clock=clock, **sections) as host:
        deliveries = RedisDeliveries(redis, keys, clock, host_time=True)
        yield Playground(host, Work(host, deliveries, clock, AppFailed), clock, folder)


def bundle_of(test: Path) -> Path | None:
    """The folder that *test* stands in or below and that holds an `app.json`; None when there is none."""
    return next((folder for folder in test.parents if (folder / FILE).is_file()), None)


__all__ = ["App", "AppFailed", "Playground", "Post", "PostViewer", "bundle_of", "running_playground"]
