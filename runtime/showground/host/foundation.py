"""What every part of a host stands on: Redis, the clock, names, secrets, and the ways to be watched."""

from __future__ import annotations

import asyncio
import secrets
from contextlib import AsyncExitStack
from dataclasses import dataclass
from importlib import metadata

from showground.apps.deployment_secret import deployment_secret
from showground.apps.secrets import SecretBox
from showground.clock import Clock
from showground.keys import KeySpace
from showground.ops.builds import Builds
from showground.ops.health import Health
from showground.ops.host_logging import configure_logging
from showground.ops.logs import AppLogs
from showground.ops.metrics import Metrics
from showground.ops.presence import present
from showground.ops.redaction import Redactor
from showground.ops.tokens import Tokens
from showground.redis.api import Redis
from showground.redis.deployment import open_redis
from showground.settings import Settings
from showground.tasks import Tasks

VERSION = metadata.version("showground")


@dataclass(frozen=True, slots=True)
class Foundation:
    """Seen by the composition root only; each part is handed what it needs of it, never the whole."""

    settings: Settings
    clock: Clock
    keys: KeySpace
    redis: Redis
    host_id: str
    box: SecretBox
    secret: bytes
    redactor: Redactor
    metrics: Metrics
    health: Health
    tasks: Tasks
    logs: AppLogs
    tokens: Tokens
    builds: Builds


async def lay(exits: AsyncExitStack, settings: Settings, clock: Clock) -> Foundation:
    redactor = Redactor()
    configure_logging(settings.logs.format, settings.logs.level, redactor)
    settings.data_dir.mkdir(mode=0o700, parents=True, exist_ok=True)
    keys = KeySpace(settings.redis.prefix, settings.redis.shards)
    host_id = secrets.token_hex(8)
    redis = await exits.enter_async_context(
        open_redis(
            settings.redis.url or None,
            settings.data_dir,
            fsync=settings.redis.fsync,
            deadline_s=settings.redis.deadline_s,
        )
    )
    formats = await exits.enter_async_context(present(redis, keys, host_id, clock))
    box = await asyncio.to_thread(SecretBox.load, settings.data_dir)
    await box.prove(redis, keys)
    secret = await deployment_secret(redis, keys, box)
    metrics = Metrics(VERSION)
    health = await exits.enter_async_context(Health(redis, clock))
    health.check("format", lambda: formats.fault)
    tasks = await exits.enter_async_context(Tasks())
    logs = await exits.enter_async_context(AppLogs(redis, keys, clock, redactor, on_drop=metrics.log_lines_dropped))
    return Foundation(
        settings=settings,
        clock=clock,
        keys=keys,
        redis=redis,
        host_id=host_id,
        box=box,
        secret=secret,
        redactor=redactor,
        metrics=metrics,
        health=health,
        tasks=tasks,
        logs=logs,
        tokens=Tokens(redis, keys, clock),
        builds=Builds(redis, keys, clock),
    )
