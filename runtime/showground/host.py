"""The composition root: makes every part of a host, joins them, and ends them in reverse order. It decides nothing."""

from __future__ import annotations

import asyncio
import logging
import os
import secrets
from collections.abc import Awaitable, Sequence
from contextlib import AsyncExitStack
from functools import partial
from importlib import metadata
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import msgspec

from showground.apps.assets import Assets
from showground.apps.bundles import BundleStore
from showground.apps.deployment_secret import deployment_secret
from showground.apps.folders import Folders
from showground.apps.installations import Change, Installations
from showground.apps.journal import Journal
from showground.apps.lifecycle import Lifecycle
from showground.apps.plugin import AppsPlugin
from showground.apps.routes import AppRoutes
from showground.apps.secrets import SecretBox
from showground.apps.settings import AppSettings
from showground.apps.transfer import Transfer
from showground.apps.transfer_routes import TransferRoutes
from showground.capabilities import COMMUNITY, PAGES, REALTIME, SCHEDULER
from showground.clock import Clock, SystemClock
from showground.deliveries import DeadLetters, DeliverySettings, Outcomes, RedisDeliveries, Runner
from showground.deliveries.routes import dead_letter_routes
from showground.dispatch import Dispatch
from showground.errors import ShowgroundError
from showground.events.catalogue import Catalogue
from showground.events.intake import Intake
from showground.events.routes import event_routes
from showground.events.webhooks import Webhooks
from showground.hookspecs import Services
from showground.host_file import HostFile
from showground.keys import InstallationId, KeySpace
from showground.model import AppVersion, Registration
from showground.ops.health import Health
from showground.ops.host_logging import configure_logging
from showground.ops.logs import AppLogs
from showground.ops.metrics import Metrics
from showground.ops.presence import present
from showground.ops.redaction import Redactor
from showground.ops.routes import OpsRoutes
from showground.ops.tickets import Tickets, ticket_keys
from showground.ops.tokens import Tokens
from showground.plugins import Plugins, find_plugins
from showground.redis.deployment import open_redis
from showground.settings import Settings
from showground.supervisor.broker import Broker
from showground.supervisor.isolation import choose
from showground.supervisor.limits import bounded
from showground.supervisor.policy import Policy
from showground.supervisor.supervisor import Supervisor
from showground.tasks import Tasks
from showground.views.inbox import Inbox
from showground.views.live import LivePosts
from showground.views.passes import Passes
from showground.views.snapshots import Snapshots
from showground.web.auth import emit_authorization
from showground.web.identity import Identity
from showground.web.invoke import InvokeRoutes
from showground.web.live import LiveEndpoints
from showground.web.openapi import OpenApi
from showground.web.origins import Origins
from showground.web.pages import PostPages
from showground.web.plugin_router import PluginRouter
from showground.web.server import WebServer

log = logging.getLogger("showground.host")

SWEEP_S = 600.0
STALLED_S = 10.0
"""A loop that finished no turn for so long makes the host unready."""


class Host:
    """One host process. Entered, it serves; left, it drains within `host.drain_s` and leaves nothing running.

    With *clock* given, the delivery queue goes by it too and not by Redis' time, so that a test that moves the clock moves
    everything. Hosts that share a Redis then need one clock.
    """

    def __init__(
        self, settings: Settings, clock: Clock | None = None, more_plugins: Sequence[tuple[str, object]] = ()
    ) -> None:
        self.settings = settings
        self._clock = clock or SystemClock()
        self._host_time = clock is not None
        self._more_plugins = more_plugins
        self._exits = AsyncExitStack()

    async def __aenter__(self) -> Self:
        async with AsyncExitStack() as exits:
            await self._start(exits)
            self._exits = exits.pop_all()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._exits.aclose()

    @property
    def summary(self) -> str:
        """For people: what the host stands on."""
        return f"isolation {self.isolation.level}, Redis {'external' if self.settings.redis.url else 'embedded'}"

    async def _start(self, exits: AsyncExitStack) -> None:
        settings, clock = self.settings, self._clock
        redactor = Redactor()
        configure_logging(settings.logs.format, settings.logs.level, redactor)
        settings.data_dir.mkdir(mode=0o700, parents=True, exist_ok=True)
        keys = KeySpace(settings.redis.prefix, settings.redis.shards)
        host_id = secrets.token_hex(8)

        # what everything stands on
        redis = await exits.enter_async_context(
            open_redis(
                settings.redis.url or None,
                settings.data_dir,
                fsync=settings.redis.fsync,
                deadline_s=settings.redis.deadline_s,
            )
        )
        await exits.enter_async_context(present(redis, keys, host_id, clock))
        box = await asyncio.to_thread(SecretBox.load, settings.data_dir)
        await box.prove(redis, keys)
        secret = await deployment_secret(redis, keys, box)
        metrics = Metrics(metadata.version("showground"))
        health = await exits.enter_async_context(Health(redis, clock))
        tasks = await exits.enter_async_context(Tasks())
        logs = await exits.enter_async_context(AppLogs(redis, keys, clock, redactor, on_drop=metrics.log_lines_dropped))
        tokens = Tokens(redis, keys, clock)

        # what is installed, and the plugins
        installations = await exits.enter_async_context(Installations(redis, keys, clock))
        app_settings = AppSettings(redis, keys, box, redactor, self._validate)
        self.plugins = plugins = Plugins(
            [
                ("metrics", metrics),
                ("apps", AppsPlugin(installations, app_settings, logs)),
                *find_plugins(settings.disabled_plugins),
                *self._more_plugins,
            ]
        )
        observe = plugins.observe

        # events and deliveries
        deliveries = RedisDeliveries(
            redis,
            keys,
            clock,
            msgspec.convert(settings.options.get("deliveries", {}), DeliverySettings),
            observe,
            host_time=self._host_time,
        )
        outcomes = await exits.enter_async_context(Outcomes(deliveries))
        catalogue = Catalogue(settings.events.types)
        intake = Intake(deliveries, catalogue, installations, keys, clock, observe, outcomes)
        webhooks = Webhooks(settings.webhooks, catalogue, intake, clock, os.environ, box, redactor.learn)

        # the capabilities' providers
        def services(capability: str) -> Services:
            options = settings.options.get(capability, {})
            public_url = settings.host.public_url
            return Services(redis, keys, clock, options, deliveries, observe, host_id, intake.emit, secret, public_url)

        plugins.refuse_unknown(name for name in settings.options if name != "deliveries")
        chosen = await plugins.enter(exits, settings.providers, services)

        # app code
        def is_installed(key: InstallationId) -> bool:
            return installations.get(key) is not None

        def bound(app: AppVersion) -> AppVersion:
            return bounded(app, settings.workers.limits)

        def check(folder: Path, app: AppVersion) -> Awaitable[Registration]:
            return supervisor.check(folder, bound(app))

        self.isolation = await choose(settings.workers.isolation, clock)
        policy = Policy(in_flight=settings.workers.in_flight, idle_s=settings.workers.idle_s)
        supervisor = Supervisor(
            Broker(plugins, installations.fault), clock, logs.write, level=self.isolation.level, policy=policy
        )
        exits.push_async_callback(supervisor.close)
        folders = Folders(settings.data_dir / "bundles")
        self.bundles = BundleStore(redis, keys, clock, folders, check=check, veto=plugins.registered)
        self._dispatch = dispatch = Dispatch(
            installations, self.bundles, supervisor, clock, observe, bound, redactor.error
        )
        self.lifecycle = Lifecycle(
            installations,
            Journal(redis, keys),
            self.bundles,
            clock,
            hooks=plugins,
            emit_to=intake.emit_to,
            clear_deliveries=deliveries.clear,
            veto=plugins.registered,
            observe=observe,
        )

        # live posts
        snapshots = Snapshots(redis, keys, host_id)
        live = LivePosts(
            plugins.provider(COMMUNITY),
            plugins.provider(REALTIME),
            snapshots,
            Passes(secret),
            dispatch.invoke,
            dispatch.post_type,
            clock,
            observe,
            redactor.error,
        )
        exits.push_async_callback(live.close)
        inbox = Inbox(redis, keys, host_id)
        tickets = Tickets(ticket_keys(settings.tickets.keys, secret), clock)
        identity = Identity(plugins.provider(COMMUNITY), tickets)
        endpoints = LiveEndpoints(live, snapshots, inbox, identity, clock.monotonic)
        await exits.enter_async_context(inbox.open(endpoints.receive))

        # what runs by itself
        installations.on_change(partial(self._changed, tasks, supervisor, dispatch, live))
        runner = await exits.enter_async_context(
            Runner(deliveries, dispatch.handle, host_id=host_id, drain_s=settings.host.drain_s)
        )
        tasks.start("lifecycle: finish what was interrupted", self._recover())
        tasks.start("bundles: let go of what no version has", self._sweep())

        # the way in
        origins = Origins(settings.host.allowed_origins, settings.host.public_url)
        web = WebServer(tokens.check, origins, lambda: health.draining)
        static = web.files("/static", "showground", "static")
        pages = PostPages(live, installations, dispatch, identity, origins, static, tickets, settings.host.demo)
        plugins.lend(PAGES, pages)

        for routes in (
            InvokeRoutes(dispatch),  # first, because paths are tried in this order and this one is the hottest
            OpsRoutes(health, metrics, logs, tokens, clock, is_installed),
            AppRoutes(self.bundles, installations, self.lifecycle, app_settings, box),
            Assets(self.bundles.folder),
            TransferRoutes(
                Transfer(self.lifecycle, app_settings, plugins.provider, clock, settings.data_dir),
                installations,
                settings.data_dir,
            ),
        ):
            routes.register(web)
        event_routes(web, intake, catalogue, emit_authorization(tokens.check_emit))
        webhooks.routes(web)
        dead_letter_routes(web, DeadLetters(deliveries))
        endpoints.routes(web)
        pages.routes(web)
        plugins.routes(PluginRouter(web, is_installed))
        web.on_drain(partial(live.drain, 1.0))
        self.routes = web.routes
        OpenApi(web.routes, metadata.version("showground")).register(web)

        # health
        health.fact("isolation", self.isolation.level)
        for capability, name in chosen.items():
            health.fact(f"provider_{capability}", name)
        health.age("deliveries", runner.tick_age_s, STALLED_S)
        health.age("scheduler", plugins.provider(SCHEDULER).tick_age_s, STALLED_S)
        health.age("installations", installations.age_s, STALLED_S)
        metrics.gauge(
            "showground_installations",
            "Apps at work in communities, over the whole deployment.",
            lambda: float(len(installations.all())),
        )
        metrics.gauge(
            "showground_event_loop_lag_seconds",
            "By how much the event loop was late at worst within the last ten seconds.",
            health.loop_lag_s,
        )
        metrics.gauge("showground_views", "Live posts open in browsers.", lambda: float(len(live)))
        metrics.gauge("showground_deliveries_running", "Deliveries that run now.", lambda: float(runner.running()))

        port = await web.start(settings.host.listen, settings.host.port, settings.host.drain_s)
        exits.push_async_callback(web.stop)
        shown = f"[{settings.host.listen}]" if ":" in settings.host.listen else settings.host.listen
        self.url = settings.host.public_url or f"http://{shown}:{port}"
        file = HostFile(settings.data_dir)
        self.root_token = token = await tokens.ensure_root_token(file.token())
        redactor.learn(token)
        file.write(self.url, token)
        exits.callback(file.remove)

        async def drain() -> None:
            health.drain()
            await web.drain(settings.host.drain_s)

        exits.push_async_callback(drain)

    async def _validate(self, installation: Any, name: str, value: Any) -> str | None:
        return await self._dispatch.validate(installation, name, value)

    async def _recover(self) -> None:
        while True:
            await self.lifecycle.recover()
            await self._clock.sleep(5.0)

    async def _sweep(self) -> None:
        while True:
            try:
                await self.bundles.sweep()
            except ShowgroundError as error:
                log.warning("bundles were not swept, which is tried again in %d s: %s", SWEEP_S, error)
            await self._clock.sleep(SWEEP_S)

    def _changed(
        self, tasks: Tasks, supervisor: Supervisor, dispatch: Dispatch, live: LivePosts, change: Change
    ) -> None:
        """A version is no longer at work somewhere: its workers finish, and its posts are drawn by the new one. So are those of
        an installation whose data were replaced."""
        before, after = change.before, change.after
        if before is not None and (after is None or after.version.digest != before.version.digest):
            tasks.start(f"drain {before.app} {before.version.version}", supervisor.drain(before.version.digest))
            dispatch.forget(before.version.digest)
        if before is not None and (after is None or after.revision != before.revision):
            tasks.start(f"redraw {before.id}", live.forget(before.id))
