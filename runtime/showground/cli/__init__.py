"""The command line: `showground --help`. Each module here holds one group of commands; plugins add theirs by `commands`."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from importlib import metadata
from pathlib import Path
from typing import Any

import click

from showground.cli.session import HttpSession, fail
from showground.errors import ShowgroundError

EXIT_FAILURE, EXIT_USAGE = 1, 2
EXIT_INTERRUPTED = 130
"""128 + SIGINT, as shells count: a stream that Ctrl-C ended is neither a success nor a failure."""


class Commands(click.Group):
    """The top-level group. Plugins are loaded only for `--help` and for commands that are not our own, which stay quick."""

    def list_commands(self, context: click.Context) -> list[str]:
        self._fill()
        return sorted(self.commands)

    def get_command(self, context: click.Context, name: str) -> click.Command | None:
        if name not in self.commands:
            from showground.cli.catalogue import own_command

            found = own_command(name)
            if found is not None:
                return found
            self._fill()
        return super().get_command(context, name)

    def _fill(self) -> None:
        if self.commands:
            return
        from showground.cli.catalogue import commands

        for command in commands():
            if command.name in self.commands:
                raise ShowgroundError("misconfigured", f"two commands are called {command.name!r}", "commands")
            self.add_command(command)


@click.group(cls=Commands, context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100})
@click.version_option(metadata.version("showground"), prog_name="showground")
@click.option("--url", metavar="URL", help="Address of the host. Else SHOWGROUND_URL, else the host of this machine.")
@click.option(
    "--token", metavar="TOKEN", help="Operator token. Else SHOWGROUND_TOKEN, else that of the host of this machine."
)
@click.option(
    "--data-dir",
    type=click.Path(path_type=Path, file_okay=False),
    default=".showground",
    show_default=True,
    help="Data folder of the host of this machine.",
)
@click.option("--json", "as_json", is_flag=True, help="Print one JSON document; with streams, one per line.")
@click.pass_context
def showground(context: click.Context, url: str | None, token: str | None, data_dir: Path, as_json: bool) -> None:
    """Run live community apps on your own machine."""
    context.obj = HttpSession(url, token, data_dir, as_json)


def main(arguments: Sequence[str] | None = None) -> None:
    """Entry point. Exit 0, or 1 for a failure, or 2 for wrong usage; 130 when Ctrl-C ended what goes on until then."""
    arguments = list(sys.argv[1:] if arguments is None else arguments)
    sys.exit(run(common_options_first(arguments)))


def common_options_first(arguments: Sequence[str]) -> list[str]:
    """Let `--json`, `--url`, `--token` and `--data-dir` stand anywhere before `--`, not only before the command."""
    front: list[str] = []
    rest: list[str] = []
    words = iter(arguments)
    for word in words:
        if word == "--":
            rest += [word, *words]
        elif word == "--json":
            front.append(word)
        elif word in ("--url", "--token", "--data-dir"):
            front += [word, *([value] if (value := next(words, None)) is not None else [])]
        elif word.startswith(("--url=", "--token=", "--data-dir=")):
            front.append(word)
        else:
            rest.append(word)
    return front + rest


def run(arguments: Sequence[str]) -> int:
    as_json = "--json" in arguments
    try:
        result: Any = showground.main(args=list(arguments), prog_name="showground", standalone_mode=False)
    except click.exceptions.Abort as abort:
        if isinstance(abort.__cause__, KeyboardInterrupt):
            return EXIT_INTERRUPTED
        fail(ShowgroundError("internal", f"the command was given up: {abort.__cause__!r}"), as_json)
        return EXIT_FAILURE
    except click.UsageError as error:
        error.show()
        return EXIT_USAGE
    except click.ClickException as error:
        error.show()
        return error.exit_code
    except ShowgroundError as error:
        fail(error, as_json)
        return EXIT_FAILURE
    except KeyboardInterrupt:
        return EXIT_INTERRUPTED
    except BrokenPipeError:
        sys.stderr.close()
        return EXIT_FAILURE
    return result if isinstance(result, int) else 0
