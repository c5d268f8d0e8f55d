"""App code: where bundles are kept, how they come to run, and what is done for the people who look at live posts."""

from __future__ import annotations

from collections.abc import Awaitable
from contextlib import AsyncExitStack
from dataclasses import dataclass
from pathlib import Path

from showground.apps.bundles import BundleStore
from showground.apps.folders import Folders
from showground.apps.journal import Journal
from showground.apps.lifecycle import Lifecycle
from showground.apps.replacement import Replacement
from showground.capabilities import COMMUNITY, REALTIME
from showground.dispatch import Dispatch
from showground.host.events import Events
from showground.host.foundation import Foundation
from showground.model import AppVersion, Registration
from showground.ops.open_files import Capacity
from showground.ops.tickets import Tickets, ticket_keys
from showground.supervisor.broker import Broker
from showground.supervisor.isolation import Isolation, choose
from showground.supervisor.limits import bounded
from showground.supervisor.policy import Policy
from showground.supervisor.supervisor import Supervisor
from showground.views.inbox import Inbox
from showground.views.live import LivePosts
from showground.views.passes import Passes
from showground.views.snapshots import Snapshots
from showground.web.identity import Identity
from showground.web.live import LiveEndpoints


@dataclass(frozen=True, slots=True)
class Code:
    isolation: Isolation
    supervisor: Supervisor
    bundles: BundleStore
    dispatch: Dispatch
    lifecycle: Lifecycle
    replacement: Replacement


async def lay(exits: AsyncExitStack, on: Foundation, events: Events) -> Code:
    settings, clock, plugins = on.settings, on.clock, events.plugins

    def bound(app: AppVersion) -> AppVersion:
        return bounded(app, settings.workers.limits)

    def check(folder: Path, app: AppVersion) -> Awaitable[Registration]:
        return supervisor.check(folder, bound(app))

    workers = settings.workers
    isolation = await choose(workers.isolation, clock)
    supervisor = Supervisor(
        Broker(plugins, events.installations.fault),
        clock,
        on.logs.write,
        level=isolation.level,
        policy=Policy(workers.in_flight, idle_s=workers.idle_s, spawn_s=workers.spawn_s),
    )
    exits.push_async_callback(supervisor.close)
    folders = Folders(settings.data_dir / "bundles")
    bundles = BundleStore(on.redis, on.keys, clock, folders, check=check, veto=plugins.registered)
    dispatch = Dispatch(events.installations, bundles, supervisor, clock, plugins.observe, bound, on.redactor.error)
    replacement = Replacement(on.redis, on.keys, events.app_settings, plugins.provider)
    lifecycle = Lifecycle(
        events.installations,
        Journal(on.redis, on.keys),
        bundles,
        clock,
        hooks=plugins,
        emit_to=events.intake.emit_to,
        clear_deliveries=events.deliveries.clear,
        veto=plugins.registered,
        undo=replacement,
        observe=plugins.observe,
    )
    return Code(isolation, supervisor, bundles, dispatch, lifecycle, replacement)


@dataclass(frozen=True, slots=True)
class Posts:
    live: LivePosts
    tickets: Tickets
    identity: Identity
    endpoints: LiveEndpoints


async def lay_posts(exits: AsyncExitStack, on: Foundation, events: Events, code: Code) -> Posts:
    community = events.plugins.provider(COMMUNITY)
    snapshots = Snapshots(on.redis, on.keys, on.host_id)
    live = LivePosts(
        community,
        events.plugins.provider(REALTIME),
        snapshots,
        Passes(on.secret),
        code.dispatch,
        code.dispatch.post_type,
        on.clock,
        events.plugins.observe,
        on.redactor.error,
        room=Capacity.now().views,
    )
    exits.push_async_callback(live.close)
    inbox = Inbox(on.redis, on.keys, on.host_id)
    tickets = Tickets(ticket_keys(on.settings.tickets.keys, on.secret), on.clock)
    identity = Identity(community, tickets)
    endpoints = LiveEndpoints(live, snapshots, inbox, identity, on.clock.monotonic)
    await exits.enter_async_context(inbox.open(endpoints.receive))
    return Posts(live, tickets, identity, endpoints)
