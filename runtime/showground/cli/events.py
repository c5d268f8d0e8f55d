"""Commands about events: send one, and look after those that were given up."""

from __future__ import annotations

import json
import secrets
import sys
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import click

from showground.errors import ShowgroundError
from showground.hookspecs import Session

_community = click.option("--community", required=True, help="The community.")
_app = click.option("--app", required=True, help="The app.")
_id = click.argument("id", required=False)
_all = click.option("--all", "everything", is_flag=True, help="All dead letters of the installation.")


@click.command()
@click.argument("type")
@click.option("--community", required=True, help="The community it happened in.")
@click.option("--data", default="{}", help="The payload, as JSON; @FILE reads a file, - standard input.")
@click.option("--id", "event_id", help="Dedupes together with --source for 24 h. Not given: a new one.")
@click.option("--source", default="showground-cli", show_default=True, help="Where it comes from, as a URI reference.")
@click.option("--wait", type=click.FloatRange(0, 30), default=0.0, help="Seconds to wait for the outcomes.")
@click.pass_obj
def emit(session: Session, type: str, community: str, data: str, event_id: str | None, source: str, wait: float) -> int:
    """Send an event of TYPE to every installation that listens. Exits with 1 when an installation failed to handle it."""
    event = {
        "specversion": "1.0",
        "id": event_id or secrets.token_hex(16),
        "source": source,
        "type": type,
        "subject": community,
        "data": _payload(data),
    }
    answer = session.post("/api/v1/events", event, media_type="application/cloudevents+json", wait=wait or None)
    deliveries = answer["events"][0]["deliveries"]
    session.show(answer, "\n".join(map(_line, deliveries)) or f"nothing in {community} listens to {type}")
    return 1 if any(delivery["status"] in ("failed", "dead") for delivery in deliveries) else 0


@click.group("dead-letters")
def dead_letters() -> None:
    """Deliveries that were given up: look at them, redrive them, throw them away."""


@dead_letters.command("list")
@_community
@_app
@click.option("--limit", type=click.IntRange(1, 500), default=100, show_default=True)
@click.pass_obj
def list_letters(session: Session, community: str, app: str, limit: int) -> None:
    """List the newest ones."""
    answer = session.get(_path(community, app), limit=limit)
    lines = [
        f"{_time(letter['died_at_ms'])}  {letter['id']}  {letter['kind']} {letter['name']}  "
        f"after {letter['attempts']}: {_reason(letter)}"
        for letter in answer["dead_letters"]
    ]
    more = answer["total"] - len(lines)
    if more > 0:
        lines.append(f"and {more} more")
    session.show(answer, "\n".join(lines) or "there are none")


@dead_letters.command()
@click.argument("id")
@_community
@_app
@click.pass_obj
def show(session: Session, id: str, community: str, app: str) -> None:
    """Show one with its payload and its error."""
    letter = session.get(f"{_path(community, app)}/{id}")
    session.show(letter, json.dumps(letter, indent=2, ensure_ascii=False))


@dead_letters.command()
@_id
@_all
@_community
@_app
@click.pass_obj
def redrive(session: Session, id: str | None, everything: bool, community: str, app: str) -> None:
    """Have one, or --all, tried again."""
    base = _path(community, app)
    answer = session.post(f"{base}/redrive" if _wants_all(id, everything) else f"{base}/{id}/redrive")
    session.show(answer, f"{answer['redriven']} will be tried again")


@dead_letters.command()
@_id
@_all
@_community
@_app
@click.pass_obj
def purge(session: Session, id: str | None, everything: bool, community: str, app: str) -> None:
    """Throw away one, or --all."""
    base = _path(community, app)
    answer = session.delete(base if _wants_all(id, everything) else f"{base}/{id}")
    session.show(answer, f"{answer['purged']} thrown away")


def _wants_all(id: str | None, everything: bool) -> bool:
    if (id is None) != everything:
        raise click.UsageError("Give either an ID or --all.")
    return everything


def _payload(text: str) -> Any:
    try:
        if text == "-":
            return json.loads(sys.stdin.read())
        if text.startswith("@"):
            return json.loads(Path(text[1:]).read_text("utf-8"))
        return json.loads(text)
    except OSError as error:
        raise ShowgroundError("bad_request", f"cannot read {text[1:]}: {error.strerror}", "--data") from None
    except ValueError as error:
        raise ShowgroundError("bad_request", f"it is not JSON: {error}", "--data", "Quote it for the shell.") from None


def _path(community: str, app: str) -> str:
    return f"/api/v1/communities/{community}/apps/{app}/dead-letters"


def _line(delivery: Mapping[str, Any]) -> str:
    text = f"{delivery['installation']}  {delivery['status']}"
    if delivery.get("error"):
        return f"{text}: {delivery['error']['message']}"
    return (
        f"{text}  {json.dumps(delivery['result'], ensure_ascii=False)}" if delivery.get("result") is not None else text
    )


def _reason(letter: Mapping[str, Any]) -> str:
    error = letter.get("error") or {}
    lines: Sequence[str] = str(error.get("message", "")).splitlines()
    return f"{error.get('code', '?')}: {lines[0][:120] if lines else ''}"


def _time(ms: int) -> str:
    return datetime.fromtimestamp(ms / 1000, UTC).strftime("%Y-%m-%d %H:%M:%SZ")


COMMANDS: tuple[click.Command, ...] = (emit, dead_letters)
