"""`serve` runs a host; `demo` runs one with the example apps installed."""

from __future__ import annotations

import asyncio
import gc
import signal
from collections.abc import Awaitable, Callable, Coroutine
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click
from click.core import ParameterSource

from showground.cli.session import HttpSession
from showground.settings import Settings, load_settings

if TYPE_CHECKING:
    from showground.clock import Clock
    from showground.host import Host

Callback = Callable[..., int]

YOUNG_OBJECTS = 10_000
"""New objects between two runs of the garbage collector; Python's 700 are less than 64 requests under way hold."""

SETTINGS_FILE = "showground.toml"


def options(command: Callback) -> Callback:
    """The flags that `serve` and `demo` share; each overrides one setting."""
    for option in (
        click.option(
            "--settings", "file", type=click.Path(path_type=Path), help=f"Settings file; else {SETTINGS_FILE}."
        ),
        click.option("--listen", metavar="ADDRESS", help="Address to listen on.  [default: 127.0.0.1]"),
        click.option(
            "--port", type=click.IntRange(0, 65535), help="Port to listen on; 0 takes a free one.  [default: 8787]"
        ),
        click.option("--redis-url", metavar="URL", help="An external Redis or Valkey instead of the embedded one."),
        click.option(
            "--isolation", type=click.Choice(["auto", "none", "process", "confined"]), help="How app code is kept in."
        ),
    ):
        command = option(command)
    return command


@click.command()
@options
@click.pass_obj
def serve(session: HttpSession, /, **flags: Any) -> int:
    """Run a host until it is told to stop (Ctrl-C or SIGTERM)."""
    return _run(serve_until_stopped(read(session, flags)))


@click.command(short_help="Run a host with the example apps.")
@options
@click.option(
    "--apps",
    "folder",
    type=click.Path(path_type=Path, exists=True, file_okay=False),
    default="apps",
    show_default=True,
    help="Folder of bundles to upload and install.",
)
@click.pass_obj
def demo(session: HttpSession, /, folder: Path, **flags: Any) -> int:
    """Run a host with the example apps in the community `playground`, and say where to look."""
    from showground.cli.demo import prepare

    settings = read(session, flags, demo=True)
    return _run(serve_until_stopped(settings, lambda host: prepare(host, folder)))


COMMANDS: tuple[click.Command, ...] = (serve, demo)


def read(session: HttpSession, flags: dict[str, Any], demo: bool = False) -> Settings:
    """Settings from the file, the environment and the flags that were given."""
    file: Path | None = flags.pop("file", None)
    if file is None and Path(SETTINGS_FILE).exists():
        file = Path(SETTINGS_FILE)
    given: dict[str, dict[str, Any]] = {"host": {}}
    # The default of --data-dir is for commands that look for a host; it must not undo what the settings say.
    if click.get_current_context().find_root().get_parameter_source("data_dir") is ParameterSource.COMMANDLINE:
        given["host"]["data_dir"] = str(session.data_dir)
    for name, section, field in (
        ("listen", "host", "listen"),
        ("port", "host", "port"),
        ("redis_url", "redis", "url"),
        ("isolation", "workers", "isolation"),
    ):
        if flags.get(name) is not None:
            given.setdefault(section, {})[field] = flags[name]
    if demo:
        given["host"]["demo"] = True
        given["logs"] = {"level": "warning"}
    return load_settings(file, flags=given)


async def serve_until_stopped(
    settings: Settings, when_ready: Callable[[Host], Awaitable[None]] | None = None, clock: Clock | None = None
) -> int:
    """Run a host. The first SIGINT or SIGTERM drains it; a second one ends it at once. Returns the exit code.

    *clock* stands for the machine's, which may be wrong.
    """
    from showground.host import Host  # most commands never run a host, and should start quickly
    from showground.ops.open_files import raise_limit

    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    serving = asyncio.current_task()
    assert serving is not None
    signals = 0

    def stopping() -> None:
        nonlocal signals
        signals += 1
        if signals == 1:
            stop.set()
        elif signals == 2:
            serving.cancel()
        else:
            raise SystemExit(1)

    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, stopping)
    raise_limit()
    try:
        async with Host(settings, clock, host_time=False) as host:
            settle_memory()
            click.echo(f"Showground is ready at {host.url} ({host.summary})", err=True)
            if when_ready is not None:
                preparing = asyncio.create_task(_as_coroutine(when_ready(host)), name="demo")
                waiting = asyncio.create_task(stop.wait(), name="stop")
                await asyncio.wait((preparing, waiting), return_when=asyncio.FIRST_COMPLETED)
                if preparing.done():
                    preparing.result()
                else:
                    preparing.cancel()
                    await asyncio.gather(preparing, return_exceptions=True)
                waiting.cancel()
            await stop.wait()
            click.echo("Stopping …", err=True)
    except asyncio.CancelledError:
        if signals < 2:
            raise
        return 1
    return 0


def settle_memory() -> None:
    """Let the garbage collector pass over what lives as long as the host.

    Looking through all of that again and again took 10 % of a busy host's time, in pauses of 30 ms (2026-11-24).
    """
    gc.collect()
    gc.freeze()
    gc.set_threshold(YOUNG_OBJECTS, 10, 10)


async def _as_coroutine(work: Awaitable[None]) -> None:
    await work


def _run(work: Coroutine[Any, Any, int]) -> int:
    import uvloop

    return uvloop.run(work)
