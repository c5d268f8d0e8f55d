"""All that can be extended, on one page: the hooks that app bundles implement, and the hooks that plugins implement.

All hooks are synchronous and only declare; what is awaited works through the protocols in `showground.capabilities`.
Several implementations of one hook run in no promised order.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol, TypeVar

import pluggy

from showground.capabilities import Deliveries
from showground.clock import Clock
from showground.errors import Problem, ShowgroundError
from showground.keys import CapabilityKey, KeySpace
from showground.model import AppVersion, HostEvent, Installation, Invocation, Registration
from showground.redis.api import Redis

if TYPE_CHECKING:
    import click
    from aiohttp import web

PROJECT = "showground"
hookspec = pluggy.HookspecMarker(PROJECT)
hookimpl = pluggy.HookimplMarker(PROJECT)

T = TypeVar("T")
Method = Callable[..., Awaitable[Any]]
"""A coroutine function; or a `showground.soon.Quick`, for which the host often needs no task."""


class Emit(Protocol):
    async def __call__(self, community: str, type: str, data: Mapping[str, Any], *, id: str | None = None) -> None:
        """Send an event to every installation in *community* that has a trigger for it, as `POST /api/v1/events` does:
        durable when it returns; with *id*, a repeat within 24 h changes nothing. Raises `invalid` for a wrong payload."""
        ...


async def send_nowhere(community: str, type: str, data: Mapping[str, Any], *, id: str | None = None) -> None:
    """The `Emit` of a host without events: of unit tests of providers that send none."""
    raise ShowgroundError("misconfigured", f"{type} cannot be sent: this host takes no events", "services.emit")


@dataclass(frozen=True, slots=True)
class Services:
    """What the host lends to a provider that it builds."""

    redis: Redis
    keys: KeySpace
    clock: Clock
    options: Mapping[str, Any]
    """The provider's own section of the settings: `[realtime]` for realtime."""
    deliveries: Deliveries
    observe: Callable[[HostEvent], None]
    host_id: str
    """Unique to this host process; owner of leases."""
    emit: Emit = send_nowhere
    secret: bytes = b""
    """32 random bytes that all hosts of the deployment share; derive a key of your own from it (HMAC with your name)."""
    public_url: str = ""
    """The address that browsers use, when the operator told it."""
    host_time: bool = False
    """Whether the deployment goes by *clock*, as tests that move time have it, and not by Redis' time."""


class Offer(Protocol):
    def __call__(
        self, key: CapabilityKey[T], name: str, build: Callable[[Services], AbstractAsyncContextManager[T]]
    ) -> None:
        """Offer a provider of *key* under *name*. The settings choose one by name."""
        ...

    def permanent(self, *patterns: str) -> None:
        """Declare Redis keys (without prefix and hash tag) that may live without an expiry."""
        ...


class Extend(Protocol):
    def __call__(self, member: str, methods: Mapping[str, Method], needs: str | None = None) -> None:
        """Give the invocation `context.<member>`, whose *methods* the app calls over the worker protocol.

        Arguments and results are what msgpack carries. With *needs*, a call by an app that did not configure the capability
        of that name is refused with `not_configured` before it reaches the method.
        """
        ...


class Providers(Protocol):
    def __call__(self, key: CapabilityKey[T]) -> T:
        """The chosen provider of *key*; raises `misconfigured` when there is none."""
        ...


class Router(Protocol):
    def __call__(
        self,
        method: str,
        path: str,
        handler: Callable[[web.Request], Awaitable[web.StreamResponse]],
        scope: str | None,
    ) -> None:
        """Serve *path*. *scope* is what the caller's token must cover: `read`, `emit`, `deploy` or `admin`; None is open to all.

        A `ShowgroundError` that *handler* raises is answered in the one JSON shape.
        """
        ...

    def files(self, prefix: str, package: str, folder: str) -> Callable[[str], str]:
        """Serve the files of *folder* in *package* (scripts, styles, pictures) under *prefix*; returns name → address."""
        ...

    def on_drain(self, end: Callable[[], Awaitable[None]]) -> None:
        """Have *end* awaited when the host begins to stop, before it waits for running requests: for long-lived answers
        (WebSockets, event streams), which would otherwise be cut. It gets the host's drain time, then is cancelled."""
        ...

    def origin_allowed(self, request: web.Request) -> bool:
        """Whether the page that sent *request* may open a WebSocket: no `Origin` header, our own, or one the operator listed.
        Browsers apply no same-origin rule to WebSockets (RFC 6455 section 10.2), so every such handler asks this."""
        ...


class Session(Protocol):
    """What a command gets as `click.Context.obj`: the host's HTTP API, called synchronously, and the way to print.

    Paths start with `/api/v1`. An error answer is raised as `ShowgroundError`; the command line prints it and exits with 1.
    """

    def get(self, path: str, **query: str | int | float | None) -> Any: ...

    def post(self, path: str, body: Any = None, *, media_type: str = "", **query: str | int | float | None) -> Any:
        """*body* is bytes or an open file, sent as *media_type* (`application/octet-stream` unless told); others go as JSON."""
        ...

    def put(self, path: str, body: Any = None, **query: str | int | float | None) -> Any: ...

    def delete(self, path: str, **query: str | int | float | None) -> Any: ...

    def lines(self, path: str, **query: str | int | float | None) -> Iterator[str]:
        """The lines of a streamed answer (NDJSON or SSE), as they come, until the host or the user ends it."""
        ...

    def show(self, document: Any, text: str) -> None:
        """Print *document* as one line of JSON under `--json`, else *text*."""
        ...


class Commands(Protocol):
    def __call__(self, command: click.Command, /) -> None:
        """Add a command or group to `showground`. Its functions get a `Session` with `@click.pass_obj`."""
        ...


class BundleHooks:
    """Implemented by app bundles; called once in a worker when the bundle is loaded. `Devvit` is a face over the same hooks."""

    @hookspec
    def configure(self) -> Mapping[str, Any]:
        """The capabilities that the app uses: `{"redis": True, "realtime": True, "http": {"domains": [...]}}`."""

    @hookspec
    def add_trigger(self) -> Iterable[Any]:
        """`showground.Trigger(event=…, handler=…)` records."""

    @hookspec
    def add_scheduler_job(self) -> Iterable[Any]:
        """`showground.SchedulerJob(name=…, handler=…)` records."""

    @hookspec
    def add_custom_post_type(self) -> Iterable[Any]:
        """`showground.CustomPostType(name=…, render=…)` records; Devvit keeps the last, we refuse a second."""

    @hookspec
    def add_menu_item(self) -> Iterable[Any]:
        """`showground.MenuItem(label=…, location=…, on_press=…)` records."""

    @hookspec
    def add_settings(self) -> Iterable[Any]:
        """Settings fields as in Devvit, as mappings or records."""

    @hookspec
    def create_form(self) -> Iterable[Any]:
        """`showground.Form(form=…, on_submit=…)` records."""


class HostHooks:
    """Implemented by plugins, the built-in ones included; there is no other door."""

    @hookspec
    def provide(self, offer: Offer) -> None:
        """Offer capability providers: `offer(REALTIME, "redis", build)`. Called once, before anything starts."""

    @hookspec
    def registered(self, app: AppVersion, registration: Registration, providers: Providers) -> Sequence[Problem] | None:
        """See what a bundle registered, each time one is uploaded, installed or rolled back to; returned problems refuse it.
        `registration.configured` has the `configure` options as written, so a plugin judges its own here.

        `showground check` calls it, too, but has no host: who asks *providers* for something there is passed over, and has its
        say at the upload.
        """

    @hookspec
    def installed(self, installation: Installation, providers: Providers) -> Awaitable[None] | None:
        """Set up for a new installation. A returned awaitable is awaited with a deadline before AppInstall fires."""

    @hookspec
    def upgraded(
        self, installation: Installation, previous: Installation, providers: Providers
    ) -> Awaitable[None] | None:
        """Adapt to another version (upgrade or rollback) before AppUpgrade fires."""

    @hookspec
    def uninstalled(self, installation: Installation, providers: Providers) -> Awaitable[None] | None:
        """Clean up after AppUninstall has been handled or given up."""

    @hookspec
    def context(self, invocation: Invocation, app: AppVersion, extend: Extend, providers: Providers) -> None:
        """Add members to the context object: `extend("greeter", {"hello": hello})`. Called when an invocation first calls one of
        the plugin's members (or one that no plugin is known to give), so that what is not used costs nothing. *app* is the
        version that runs, with all that it registered."""

    @hookspec
    def routes(self, router: Router, providers: Providers) -> None:
        """Extend the HTTP API, once at start."""

    @hookspec
    def commands(self, cli: Commands) -> None:
        """Extend the command line."""

    @hookspec
    def observe(self, event: HostEvent) -> None:
        """Metrics and audit. Must not block; an exception here is logged with the plugin's name and goes no further."""
