"""`logs`: what an app printed."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from typing import Any

import click

from showground.cli.session import HttpSession
from showground.ops.durations import duration_s
from showground.ops.logs import LEVELS


@click.command()
@click.argument("community")
@click.argument("app")
@click.option("-f", "--follow", is_flag=True, help="Go on with each new line, until interrupted.")
@click.option("--since", metavar="AGE", help="Not older than this: 15s, 30m, 1w2d.")
@click.option("--level", type=click.Choice(LEVELS), default="debug", show_default=True, help="This level and above.")
@click.option("--invocation", metavar="ID", help="Lines of this invocation only.")
@click.option("--limit", type=click.IntRange(1, 10_000), default=1000, show_default=True, help="At most, at first.")
@click.pass_obj
def logs(
    session: HttpSession,
    community: str,
    app: str,
    follow: bool,
    since: str | None,
    level: str,
    invocation: str | None,
    limit: int,
) -> None:
    """Show what APP printed in COMMUNITY, oldest first."""
    if since is not None:
        duration_s(since, "--since")
    lines = session.lines(
        f"/api/v1/communities/{community}/apps/{app}/logs",
        follow=1 if follow else None,
        since=since,
        level=level,
        invocation=invocation,
        limit=limit,
    )
    any_line = False
    for line in lines:
        if line:
            any_line = True
            document = json.loads(line)
            session.show(document, _text(document))
    if not any_line and not session.as_json:
        click.echo(f"{app} has printed nothing in {community} that is kept and fits", err=True)


def _text(line: dict[str, Any]) -> str:
    at = datetime.fromtimestamp(line["at_ms"] / 1000, UTC).astimezone().strftime("%H:%M:%S.%f")[:-3]
    return f"{at} {line['level']:<8} {line['text']}"


COMMANDS: tuple[click.Command, ...] = (logs,)
