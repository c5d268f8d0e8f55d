"""`backup` and `restore`: a whole deployment, as a file, while no host of it runs."""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from showground.cli.serve import SETTINGS_FILE, read
from showground.cli.session import HttpSession
from showground.errors import ShowgroundError

if TYPE_CHECKING:
    from showground.keys import KeySpace
    from showground.redis.api import Redis
    from showground.settings import Settings

DEADLINE_S = 60.0
"""Of one round trip; a bundle of 50 MB is one value."""

_settings = click.option(
    "--settings", "file", type=click.Path(path_type=Path), help=f"Settings file of the host; else {SETTINGS_FILE}."
)
_redis_url = click.option("--redis-url", metavar="URL", help="The external Redis or Valkey, if there is one.")


@click.command(short_help="Write a whole deployment to a file.")
@click.argument("target", metavar="FILE", type=click.Path(path_type=Path))
@_settings
@_redis_url
@click.option(
    "--while-running",
    is_flag=True,
    help="Let hosts run meanwhile (external Redis only): each key is whole, but not all are of one moment.",
)
@click.pass_obj
def backup(session: HttpSession, /, target: Path, while_running: bool, **flags: Any) -> None:
    """Write everything of a deployment to FILE: apps, installations, their data, settings, tokens, posts, jobs, events.

    Its hosts have to be stopped, and none starts until it is done. The secret key is not in it: keep a copy of it elsewhere.
    """
    settings = read(session, flags)
    if target.exists():
        raise ShowgroundError("conflict", "it is there already", str(target), "Name another file.")
    copied = asyncio.run(_back_up(settings, target, while_running))
    session.show(
        {"file": str(target), "keys": copied.keys, "bytes": copied.bytes},
        f"{target} holds {copied.keys} keys, {copied.bytes} bytes. {_key_reminder(settings)}",
    )


@click.command(short_help="Bring a deployment back from a file.")
@click.argument("source", metavar="FILE", type=click.Path(path_type=Path, exists=True, dir_okay=False))
@_settings
@_redis_url
@click.option(
    "--force", is_flag=True, help="Delete what the deployment holds now; also after a restore that was cut off."
)
@click.pass_obj
def restore(session: HttpSession, /, source: Path, force: bool, **flags: Any) -> None:
    """Bring a deployment back from FILE, into an empty one. FILE is checked whole before anything is written.

    Hosts have to be stopped, and none starts until all is there. They need the secret key that the backup was made with.
    """
    settings = read(session, flags)
    copied = asyncio.run(_restore(settings, source, force))
    session.show({"keys": copied.keys}, f"{copied.keys} keys are restored. {_key_reminder(settings)}")


def _key_reminder(settings: Settings) -> str:
    from showground.apps.secrets import FILE, VARIABLE

    if os.environ.get(VARIABLE):
        return f"The secret key ({VARIABLE}) is not in it."
    return f"The secret key ({settings.data_dir / FILE}) is not in it."


async def _back_up(settings: Settings, target: Path, while_running: bool) -> Any:
    from showground.clock import SystemClock
    from showground.ops.backup import back_up
    from showground.ops.presence import maintenance

    if while_running and not settings.redis.url:
        raise ShowgroundError(
            "misconfigured",
            "the embedded Redis belongs to the host that runs",
            "--while-running",
            "Stop the host first.",
        )
    if not settings.redis.url and not (settings.data_dir / "redis").is_dir():
        raise ShowgroundError("not_found", "no host has its data here", str(settings.data_dir), "Name its --data-dir.")
    aside = target.with_name(f".{target.name}.{os.getpid()}")
    clock = SystemClock()
    async with _deployment(settings) as (redis, keys):
        descriptor = os.open(aside, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        try:
            with os.fdopen(descriptor, "wb") as file:
                if while_running:
                    copied = await back_up(redis, keys, clock, file)
                else:
                    async with maintenance(redis, keys, "a backup", clock):
                        copied = await back_up(redis, keys, clock, file)
                os.fsync(file.fileno())
            aside.rename(target)
        except BaseException:
            aside.unlink(missing_ok=True)
            raise
    return copied


async def _restore(settings: Settings, source: Path, force: bool) -> Any:
    from showground.clock import SystemClock
    from showground.ops.backup import erase, is_empty, refuse_unfit, restore, verify
    from showground.ops.presence import maintenance

    with source.open("rb") as file:
        header, _ = verify(file)
        async with _deployment(settings) as (redis, keys):
            refuse_unfit(header, keys)
            if not force and not await is_empty(redis, keys):
                raise ShowgroundError(
                    "conflict",
                    "this deployment is not empty; nothing was changed",
                    (settings.redis.url and "redis") or str(settings.data_dir),
                    "Name an empty one, or delete what is there with --force.",
                )
            async with maintenance(redis, keys, "a restore", SystemClock(), lasting=True, again=force):
                await erase(redis, keys)
                return await restore(redis, keys, SystemClock(), file)


@asynccontextmanager
async def _deployment(settings: Settings) -> AsyncIterator[tuple[Redis, KeySpace]]:
    from showground.keys import KeySpace
    from showground.redis.deployment import open_redis

    settings.data_dir.mkdir(mode=0o700, parents=True, exist_ok=True)
    url = settings.redis.url or None
    async with open_redis(url, settings.data_dir, fsync=settings.redis.fsync, deadline_s=DEADLINE_S) as redis:
        yield redis, KeySpace(settings.redis.prefix, settings.redis.shards)


COMMANDS: tuple[click.Command, ...] = (backup, restore)
