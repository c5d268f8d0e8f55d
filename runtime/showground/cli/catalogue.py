"""Every command: the host's own, then those that plugins add through the `commands` hook."""

from __future__ import annotations

import os
from collections.abc import Iterator

import click

from showground.cli import (
    apps,
    backup,
    bundles,
    doctor,
    events,
    logs,
    playtest,
    serve,
    settings,
    tokens,
    transfer,
)
from showground.errors import ShowgroundError
from showground.plugins import Plugins, find_plugins


def commands() -> Iterator[click.Command]:
    """Own commands first: a plugin that uses one of their names is refused by name."""
    yield from serve.COMMANDS
    yield from bundles.COMMANDS
    yield from apps.COMMANDS
    yield from playtest.COMMANDS
    yield from transfer.COMMANDS
    yield from backup.COMMANDS
    yield from events.COMMANDS
    yield from settings.COMMANDS
    yield from logs.COMMANDS
    yield from doctor.COMMANDS
    yield from tokens.COMMANDS
    added: list[click.Command] = []
    disabled = [name for name in os.environ.get("SHOWGROUND_DISABLED_PLUGINS", "").split(",") if name]
    try:
        Plugins(find_plugins(disabled)).commands(added.append)
    except ShowgroundError as error:
        # Our own commands still work, `doctor` above all; `serve` refuses by itself.
        click.echo(f"showground: commands of plugins are missing: {error}", err=True)
    yield from added
