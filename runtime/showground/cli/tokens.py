"""`token`: who may call the host."""

from __future__ import annotations

from datetime import UTC, datetime

import click

from showground.hookspecs import Session
from showground.ops.durations import duration_s
from showground.ops.tokens import SCOPES


@click.group()
def token() -> None:
    """Make, list and revoke operator tokens."""


@token.command()
@click.argument("name")
@click.option(
    "--scope", "scopes", type=click.Choice(SCOPES), multiple=True, required=True, help="What it may do; repeatable."
)
@click.option("--community", metavar="NAME", help="Only there.")
@click.option("--app", metavar="NAME", help="Only this app.")
@click.option("--expires", metavar="AGE", help="Ends after this: 30m, 90d. Never, unless given.")
@click.pass_obj
def create(
    session: Session, name: str, scopes: tuple[str, ...], community: str | None, app: str | None, expires: str | None
) -> None:
    """Make a token called NAME and print it: the only time that it is shown."""
    made = session.post(
        "/api/v1/tokens",
        {
            "name": name,
            "scopes": list(scopes),
            "community": community,
            "app": app,
            "ttl_s": duration_s(expires, "--expires") if expires else None,
        },
    )
    session.show(made, made["token"])


@token.command("list")
@click.pass_obj
def list_(session: Session) -> None:
    """List tokens by their ids; the tokens themselves are stored nowhere."""
    document = session.get("/api/v1/tokens")
    lines = []
    for known in document["tokens"]:
        parts = [known["id"], known["name"], ",".join(known["scopes"])]
        parts += [f"{key}={known[key]}" for key in ("community", "app") if known[key]]
        parts.append("never used" if known["last_used_ms"] is None else f"used {_day(known['last_used_ms'])}")
        if known["expires_at_ms"] is not None:
            parts.append(f"until {_day(known['expires_at_ms'])}")
        lines.append("  ".join(parts))
    session.show(document, "\n".join(lines))


@token.command()
@click.argument("token_id", metavar="ID")
@click.pass_obj
def revoke(session: Session, token_id: str) -> None:
    """End the token ID; every host refuses it within seconds."""
    session.show(session.delete(f"/api/v1/tokens/{token_id}"), f"{token_id} is revoked")


def _day(at_ms: int) -> str:
    return datetime.fromtimestamp(at_ms / 1000, UTC).strftime("%Y-%m-%d %H:%M UTC")


COMMANDS: tuple[click.Command, ...] = (token,)
