"""`showground kv`: look at an installation's keys and carry them elsewhere."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar

import click

from showground.hookspecs import Session

F = TypeVar("F", bound=Callable[..., Any])


def _of_installation(command: F) -> F:
    for option in (
        click.option("--app", required=True, help="Name of the app."),
        click.option("--community", required=True, help="Name of the community; * for the keys that all share."),
    ):
        command = option(command)
    return command


def _path(community: str, app: str, *more: str) -> str:
    return "/".join((f"/api/v1/communities/{community}/apps/{app}/kv", *more))


@click.group()
def kv() -> None:
    """Keys that an app keeps in Redis."""


@kv.command("usage")
@_of_installation
@click.pass_obj
def usage(session: Session, community: str, app: str) -> None:
    """Bytes used and allowed."""
    answer = session.get(_path(community, app))
    session.show(answer, f"{answer['bytes_used']} of {answer['bytes_allowed']} bytes")


@kv.command("run", context_settings={"ignore_unknown_options": True})
@click.argument("command", nargs=-1, required=True)
@_of_installation
@click.pass_obj
def run(session: Session, community: str, app: str, command: tuple[str, ...]) -> None:
    """Run one Redis COMMAND on the app's keys: showground kv run HGETALL scores --app … --community …"""
    answer = session.post(_path(community, app, "commands"), {"command": list(command)})
    session.show(answer, _text(answer["reply"]))


@kv.command("list")
@click.argument("pattern", default="*")
@_of_installation
@click.pass_obj
def list_keys(session: Session, community: str, app: str, pattern: str) -> None:
    """Names of the keys that match PATTERN (a glob), sorted."""
    cursor, names = "0", set()
    while True:
        command = ["SCAN", cursor, "MATCH", pattern]
        cursor, found = session.post(_path(community, app, "commands"), {"command": command})["reply"]
        names.update(found)
        if cursor == "0":
            break
    session.show({"keys": sorted(names)}, "\n".join(sorted(names)) or "no keys")


@kv.command("export")
@_of_installation
@click.pass_obj
def export(session: Session, community: str, app: str) -> None:
    """Write every key to standard output, one JSON record a line."""
    for line in session.lines(_path(community, app, "export")):
        click.echo(line)


@kv.command("import")
@click.argument("file", type=click.File("rb"), default="-")
@_of_installation
@click.pass_obj
def load(session: Session, community: str, app: str, file: Any) -> None:
    """Read records of an export from FILE (standard input by default); keys that exist are replaced."""
    answer = session.post(_path(community, app, "import"), file, media_type="application/x-ndjson")
    session.show(answer, f"{answer['imported']} keys")


def _text(reply: Any, depth: int = 0) -> str:
    if isinstance(reply, list):
        return "\n".join("  " * depth + _text(item, depth + 1).lstrip() for item in reply) or "(empty)"
    return "(nil)" if reply is None else str(reply)
