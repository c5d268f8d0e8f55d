"""The plugins with their providers, and the way of an event from its sender to the queue."""

from __future__ import annotations

import os
from collections.abc import Awaitable, Callable, Mapping, Sequence
from contextlib import AsyncExitStack
from dataclasses import dataclass

import msgspec

from showground.apps.installations import Installations
from showground.apps.plugin import AppsPlugin
from showground.apps.settings import AppSettings
from showground.deliveries import DeliverySettings, Outcomes, RedisDeliveries
from showground.events.catalogue import Catalogue
from showground.events.intake import Intake
from showground.events.webhooks import Webhooks
from showground.hookspecs import Services
from showground.host.foundation import Foundation
from showground.model import Installation, Json
from showground.plugins import Plugins, find_plugins

DELIVERIES = "deliveries"
"""The section of the settings that is the queue's own and no plugin's."""

Validate = Callable[[Installation, str, Json], Awaitable[str | None]]


@dataclass(frozen=True, slots=True)
class Events:
    installations: Installations
    app_settings: AppSettings
    plugins: Plugins
    providers: Mapping[str, str]
    """Capability → the provider at work."""
    deliveries: RedisDeliveries
    catalogue: Catalogue
    intake: Intake
    webhooks: Webhooks


async def lay(
    exits: AsyncExitStack,
    on: Foundation,
    more_plugins: Sequence[tuple[str, object]],
    validate: Validate,
    *,
    host_time: bool,
) -> Events:
    settings, redis, keys, clock = on.settings, on.redis, on.keys, on.clock
    installations = await exits.enter_async_context(Installations(redis, keys, clock))
    app_settings = AppSettings(redis, keys, on.box, on.redactor, validate)
    plugins = Plugins(
        [
            ("metrics", on.metrics),
            ("apps", AppsPlugin(installations, app_settings, on.logs)),
            *find_plugins(settings.disabled_plugins),
            *more_plugins,
        ]
    )
    observe = plugins.observe
    tuning = msgspec.convert(settings.options.get(DELIVERIES, {}), DeliverySettings)
    deliveries = RedisDeliveries(redis, keys, clock, tuning, observe, host_time=host_time, host_id=on.host_id)
    outcomes = await exits.enter_async_context(Outcomes(deliveries))
    catalogue = Catalogue(settings.events.types)
    intake = Intake(deliveries, catalogue, installations, keys, clock, observe, outcomes)
    webhooks = Webhooks(settings.webhooks, catalogue, intake, clock, os.environ, on.box, on.redactor.learn)

    def services(capability: str) -> Services:
        return Services(
            redis=redis,
            keys=keys,
            clock=clock,
            options=settings.options.get(capability, {}),
            deliveries=deliveries,
            observe=observe,
            host_id=on.host_id,
            emit=intake.emit,
            secret=on.secret,
            public_url=settings.host.public_url,
            host_time=host_time,
        )

    plugins.refuse_unknown(name for name in settings.options if name != DELIVERIES)
    providers = await plugins.enter(exits, settings.providers, services)
    return Events(installations, app_settings, plugins, providers, deliveries, catalogue, intake, webhooks)
