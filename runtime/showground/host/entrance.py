"""The way in: every route of the host, and what an operator can see of its health."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

from showground.apps.assets import Assets
from showground.apps.routes import AppRoutes
from showground.apps.transfer import Transfer
from showground.apps.transfer_routes import TransferRoutes
from showground.capabilities import PAGES, SCHEDULER
from showground.deliveries import DeadLetters, Runner
from showground.deliveries.routes import dead_letter_routes
from showground.events.routes import event_routes
from showground.host.code import Code, Posts
from showground.host.events import Events
from showground.host.foundation import VERSION, Foundation
from showground.keys import InstallationId
from showground.ops.open_files import Capacity
from showground.ops.routes import OpsRoutes
from showground.web.auth import emit_authorization
from showground.web.invoke import InvokeRoutes
from showground.web.openapi import OpenApi
from showground.web.origins import Origins
from showground.web.pages import PostPages
from showground.web.plugin_router import PluginRouter
from showground.web.server import WebServer

STALLED_S = 10.0
"""A loop that finished no turn for so long makes the host unready."""


def web_server(on: Foundation, events: Events, code: Code, posts: Posts) -> WebServer:
    settings, installations, plugins = on.settings, events.installations, events.plugins
    origins = Origins(settings.host.allowed_origins, settings.host.public_url)
    web = WebServer(
        on.tokens.check,
        origins,
        lambda: on.health.draining,
        room=Capacity.now().connections,
        find=on.builds.find,
        shortcut=settings.host.shortcut,
    )
    static = web.files("/static", "showground", "static")
    pages = PostPages(
        posts.live, installations, code.dispatch, posts.identity, origins, static, posts.tickets, settings.host.demo
    )
    plugins.lend(PAGES, pages)

    def is_installed(key: InstallationId) -> bool:
        return installations.get(key) is not None

    transfer = Transfer(code.lifecycle, code.replacement, events.app_settings, plugins.provider, on.clock)
    for routes in (
        InvokeRoutes(code.dispatch),  # first, because paths are tried in this order and this one is the hottest
        OpsRoutes(on.health, on.metrics, on.logs, on.tokens, on.clock, is_installed),
        AppRoutes(code.bundles, installations, code.lifecycle, events.app_settings, on.box),
        Assets(code.bundles.folder),
        TransferRoutes(transfer, installations, settings.data_dir),
    ):
        routes.register(web)
    event_routes(web, events.intake, events.catalogue, emit_authorization(on.tokens.check_emit))
    events.webhooks.routes(web)
    dead_letter_routes(web, DeadLetters(events.deliveries))
    posts.endpoints.routes(web)
    pages.routes(web)
    plugins.routes(PluginRouter(web, is_installed))
    web.on_drain(partial(posts.live.drain, 1.0))
    OpenApi(web.routes, VERSION).register(web)
    return web


def show_health(on: Foundation, events: Events, code: Code, posts: Posts, runner: Runner) -> None:
    """What `/readyz` and `/metrics` tell of this host."""
    health, installations = on.health, events.installations
    health.fact("isolation", code.isolation.level)
    for capability, name in events.providers.items():
        health.fact(f"provider_{capability}", name)
    health.age("deliveries", runner.tick_age_s, STALLED_S)
    health.age("scheduler", events.plugins.provider(SCHEDULER).tick_age_s, STALLED_S)
    health.age("installations", installations.age_s, STALLED_S)
    gauges: tuple[tuple[str, str, Callable[[], float]], ...] = (
        (
            "showground_installations",
            "Apps at work in communities, over the whole deployment.",
            lambda: len(installations.all()),
        ),
        (
            "showground_event_loop_lag_seconds",
            "By how much the event loop was late at worst within the last ten seconds.",
            health.loop_lag_s,
        ),
        ("showground_views", "Live posts open in browsers.", lambda: len(posts.live)),
        ("showground_deliveries_running", "Deliveries that run now.", runner.running),
    )
    for name, meaning, read in gauges:
        on.metrics.gauge(name, meaning, read)
