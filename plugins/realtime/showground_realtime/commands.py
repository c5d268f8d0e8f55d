"""`showground listen`: what is published to a channel, line by line."""

from __future__ import annotations

import time
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import click
import msgspec

from showground.errors import ShowgroundError
from showground.hookspecs import Session

RETRY_S = 1.0


@dataclass(frozen=True, slots=True)
class Event:
    kind: str
    id: str
    data: str


def read_events(lines: Iterator[str]) -> Iterator[Event]:
    """Server-sent events of a stream of lines (WHATWG HTML section 9.2.6); comments and unknown fields are passed over."""
    kind, position = "message", ""
    data: list[str] = []
    for raw in lines:
        line = raw.rstrip("\r\n")
        if not line:
            if data:
                yield Event(kind, position, "\n".join(data))
            kind, data = "message", []
            continue
        field, _, value = line.partition(":")
        value = value.removeprefix(" ")
        if field == "event":
            kind = value
        elif field == "id":
            position = value
        elif field == "data":
            data.append(value)


@click.command()
@click.argument("channel")
@click.option("--community", required=True, help="The community that the app is installed in.")
@click.option("--app", required=True, help="The app that the channel belongs to.")
@click.option("--since", default=None, help="Begin after this position, as an earlier run printed it.")
@click.option("--count", type=click.IntRange(min=1), default=None, help="End after so many messages.")
@click.pass_obj
def listen(session: Session, channel: str, community: str, app: str, since: str | None, count: int | None) -> None:
    """Print each message of CHANNEL as it comes, until interrupted.

    With --json, one document per line: {"type": "message", "position": ..., "data": ...}, also for "hello" and "gap".
    When the host goes, it is asked again from where it ended; what could not be recovered is said on a line of its own.
    """
    path = f"/api/v1/communities/{community}/apps/{app}/channels/{channel}"
    position, seen, pause_s, has_connected = since, 0, RETRY_S, False
    while True:
        try:
            for event in read_events(session.lines(path, since=position)):
                body: Any = msgspec.json.decode(event.data)
                if event.kind == "reconnect":
                    pause_s = body["after_ms"] / 1000
                    continue
                if event.kind == "hello":
                    pause_s = RETRY_S
                    was_asked, has_connected = position is not None, True
                    position = event.id
                    text = f"listening to {body['channel']} from {position}"
                    if was_asked and not body["recovered"]:
                        text += "; what came before it is no longer there"
                    session.show({"type": "hello", **body}, text)
                    continue
                position = event.id
                if event.kind == "gap":
                    session.show({"type": "gap", **body}, f"some messages before {position} were lost")
                elif event.kind == "message":
                    session.show({"type": "message", "position": position, "data": body}, event.data)
                    seen += 1
                    if count is not None and seen >= count:
                        return
        except ShowgroundError as error:
            if not has_connected or not error.kind.temporary:
                raise
            pause_s = error.retry_after or RETRY_S
        time.sleep(pause_s)
