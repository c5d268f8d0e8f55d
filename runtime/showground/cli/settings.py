"""`settings`: values of an app's settings, for one installation or for all of them."""

from __future__ import annotations

import json
from typing import Any

import click

from showground.errors import ShowgroundError
from showground.hookspecs import Session

Field = dict[str, Any]


@click.group()
def settings() -> None:
    """Show and change settings of apps."""


_community = click.option(
    "--community", metavar="NAME", help="The values of this installation; without it, those that all of them share."
)


@settings.command("list")
@click.argument("app")
@_community
@click.pass_obj
def list_(session: Session, app: str, community: str | None) -> None:
    """List the settings of APP. Secrets are shown as set or not, never by value."""
    document = session.get(_path(app, community))
    lines = [f"{f['name']} = {_shown(f)}  ({f['type']}) {f['label']}".rstrip() for f in document["settings"]]
    session.show(document, "\n".join(lines) or "no settings of this scope")


@settings.command("set")
@click.argument("app")
@click.argument("name")
@click.argument("value", required=False)
@_community
@click.pass_obj
def set_(session: Session, app: str, name: str, value: str | None, community: str | None) -> None:
    """Set NAME of APP to VALUE; asked for when it is not given, which keeps secrets out of the shell's history.

    Several options of a select are separated by commas.
    """
    field = _field(session, app, community, name)
    if value is None:
        value = click.prompt(field["label"] or name, hide_input=field["secret"])
    document = session.put(_path(app, community), {name: _typed(field, value)})
    session.show(document, f"{name} is set")


@settings.command("unset")
@click.argument("app")
@click.argument("name")
@_community
@click.pass_obj
def unset(session: Session, app: str, name: str, community: str | None) -> None:
    """Return NAME of APP to its default."""
    document = session.put(_path(app, community), {name: None})
    session.show(document, f"{name} is unset")


@settings.command("new-key")
@click.pass_obj
def new_key(session: Session) -> None:
    """Print a new key for SHOWGROUND_SECRET_KEY. Nothing is changed."""
    from showground.apps.secrets import new_key as make_key  # brings cryptography along

    key = make_key()
    session.show({"key": key}, key)


@settings.command("rotate-key")
@click.pass_obj
def rotate_key(session: Session) -> None:
    """Encrypt every secret anew under the newest key, which the host makes first when its key is in its data folder."""
    document = session.post("/api/v1/settings/rotate-key")
    session.show(document, f"secrets encrypted anew: {document['secrets']}")


def _path(app: str, community: str | None) -> str:
    return f"/api/v1/communities/{community}/apps/{app}/settings" if community else f"/api/v1/apps/{app}/settings"


def _field(session: Session, app: str, community: str | None, name: str) -> Field:
    fields: list[Field] = session.get(_path(app, community))["settings"]
    for field in fields:
        if field["name"] == name:
            return field
    raise ShowgroundError(
        "not_found",
        f"{app} has no setting {name!r} of this scope",
        name,
        f"Known: {', '.join(f['name'] for f in fields) or 'none'}."
        + ("" if community else " Settings of one installation need --community."),
    )


def _typed(field: Field, text: str) -> Any:
    """What *text* means for the field's type. Only exact spellings: a wrong one must not become a value by accident."""
    match field["type"]:
        case "number":
            try:
                number = json.loads(text)
            except ValueError:
                number = None
            if not isinstance(number, int | float) or isinstance(number, bool):
                raise click.BadParameter(f"{text!r} is no number", param_hint="VALUE")
            return number
        case "boolean":
            if text not in ("true", "false"):
                raise click.BadParameter(f"{text!r} is neither true nor false", param_hint="VALUE")
            return text == "true"
        case "select":
            return [part for part in text.split(",") if part]
    return text


def _shown(field: Field) -> str:
    if field["secret"]:
        return "[set]" if field["set"] else "[not set]"
    if field["set"]:
        return json.dumps(field["value"], ensure_ascii=False)
    return "not set" if field["default"] is None else f"{json.dumps(field['default'], ensure_ascii=False)} (default)"


COMMANDS: tuple[click.Command, ...] = (settings,)
