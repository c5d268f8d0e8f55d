"""Writes docs/cli.md from the commands' own help. With --check: exit 1 when the page is not what they say now."""

from __future__ import annotations

import inspect
import sys
from collections.abc import Iterator
from pathlib import Path

import click

from showground.cli import showground

PAGE = Path(__file__).parents[1] / "docs" / "cli.md"
HEAD = """# The command line

`showground COMMAND --help` says the same. This page is made from it by `python tools/cli_reference.py`.

Commands about a running host speak its [HTTP API](http-api.md). Where that host is, and with what token, they are told by `--url`
and `--token`, else by `SHOWGROUND_URL` and `SHOWGROUND_TOKEN`, else by `host.json` in the data folder (`--data-dir`,
`.showground` by default), which `serve` leaves there for its owner. These options, and `--json`, may stand before or after the
command.

`--json` prints one JSON document, or one per line where a command goes on (`listen`, `logs --follow`, `playtest`). An error
takes the document's place then, in the shape of [the error table](errors.md); else it is on standard error.

Exit codes: 0 done, 1 it failed, 2 wrong usage (always told on standard error), 130 ended by Ctrl-C where a command goes on until
then.
"""


def commands(command: click.Command, context: click.Context) -> Iterator[tuple[click.Command, click.Context]]:
    """Every command that does something, in alphabetical order, groups by their members."""
    if not isinstance(command, click.Group):
        yield command, context
        return
    for name in command.list_commands(context):
        member = command.get_command(context, name)
        assert member is not None
        yield from commands(member, click.Context(member, info_name=name, parent=context))


def section(command: click.Command, context: click.Context) -> str:
    usage = " ".join([context.command_path, *(p for p in command.collect_usage_pieces(context) if p != "[OPTIONS]")])
    lines = [f"## {context.command_path}", "", "```", usage, "```", "", inspect.cleandoc(command.help or "")]
    given = (p.get_help_record(context) for p in command.params if isinstance(p, click.Option))
    options = [record for record in given if record is not None]
    if options:
        lines += ["", "| option | |", "|---|---|"]
        lines += [f"| `{_cell(names)}` | {_cell(help)} |" for names, help in options]
    return "\n".join(lines)


def _cell(text: str) -> str:
    return " ".join(text.split()).replace("|", "\\|")


def page() -> str:
    root = click.Context(showground, info_name="showground")
    return "\n\n".join([HEAD.strip(), *(section(*found) for found in commands(showground, root))]) + "\n"


def main() -> int:
    wanted = page()
    if "--check" not in sys.argv:
        PAGE.write_text(wanted, "utf-8")
        return 0
    if PAGE.read_text("utf-8") == wanted:
        return 0
    print("docs/cli.md is not what the commands say: run `python tools/cli_reference.py`.", file=sys.stderr)
    return 1


if __name__ == "__main__":
    sys.exit(main())
