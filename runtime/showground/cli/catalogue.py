"""Every command: the host's own, then those that plugins add through the `commands` hook."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping, Sequence
from importlib import import_module

import click

from showground.errors import ShowgroundError

MODULES: Mapping[str, tuple[str, ...]] = {
    "serve": ("serve", "demo"),
    "bundles": ("check", "new"),
    "apps": ("upload", "install", "uninstall", "rollback", "list"),
    "playtest": ("playtest",),
    "transfer": ("export", "import"),
    "backup": ("backup", "restore"),
    "events": ("emit", "dead-letters"),
    "settings": ("settings",),
    "logs": ("logs",),
    "doctor": ("doctor",),
    "tokens": ("token",),
}
"""Our own commands by the module that holds them, so that one is found without the others' imports."""


def own_command(name: str) -> click.Command | None:
    """One of our own, without loading a plugin."""
    for module, names in MODULES.items():
        if name in names:
            return next(command for command in _of(module) if command.name == name)
    return None


def commands() -> Iterator[click.Command]:
    """Own commands first: a plugin that uses one of their names is refused by name."""
    for module in MODULES:
        yield from _of(module)
    from showground.plugins import Plugins, find_plugins  # they bring all that they use along

    added: list[click.Command] = []
    disabled = [name for name in os.environ.get("SHOWGROUND_DISABLED_PLUGINS", "").split(",") if name]
    try:
        Plugins(find_plugins(disabled)).commands(added.append)
    except ShowgroundError as error:
        # Our own commands still work, `doctor` above all; `serve` refuses by itself.
        click.echo(f"showground: commands of plugins are missing: {error}", err=True)
    yield from added


def _of(module: str) -> Sequence[click.Command]:
    found: Sequence[click.Command] = import_module(f"showground.cli.{module}").COMMANDS
    return found
