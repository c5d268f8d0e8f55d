"""`export` and `import`: an installation with its data, as a file."""

from __future__ import annotations

import json
from typing import IO, Any

import click

from showground.errors import ShowgroundError
from showground.hookspecs import Session


@click.command(short_help="Write an installation's data as JSON lines.")
@click.argument("community")
@click.argument("app")
@click.option("--with-secrets", is_flag=True, help="Put secret settings in, in the clear. Keep such a file safe.")
@click.pass_obj
def export(session: Session, community: str, app: str, with_secrets: bool) -> None:
    """Write APP's keys, settings and jobs in COMMUNITY to standard output, one JSON record a line."""
    last = ""
    for line in session.lines(_path(community, app, "export"), secrets=1 if with_secrets else None):
        if line:
            click.echo(line)
            last = line
    if json.loads(last or "{}").get("record") != "end":
        raise ShowgroundError("not_ready", "the export was cut off: the file is a part", community, "Export again.")
    if with_secrets:
        click.echo("The export holds secret settings in the clear: keep it safe.", err=True)


@click.command("import", short_help="Replace an installation's data by an export.")
@click.argument("community")
@click.argument("app")
@click.argument("file", type=click.File("rb"), default="-")
@click.pass_obj
def import_(session: Session, community: str, app: str, file: IO[bytes]) -> None:
    """Make APP in COMMUNITY what FILE says, an export, from standard input unless given. All of its data there is replaced.

    The file is checked whole first; nothing is changed when it has faults. The app does not run meanwhile.
    """
    done: dict[str, Any] = session.post(_path(community, app, "import"), file, media_type="application/x-ndjson")
    text = (
        f"{app} in {community} has {done['keys']} keys, {done['jobs']} jobs and {done['settings']} settings of the file"
    )
    session.show(done, text)


def _path(community: str, app: str, what: str) -> str:
    return f"/api/v1/communities/{community}/apps/{app}/{what}"


COMMANDS: tuple[click.Command, ...] = (export, import_)
