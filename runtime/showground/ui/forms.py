"""Forms: from what an author wrote to what the browser shows, and from what a viewer typed to checked values.

Field types and their values are Devvit's (`string`, `paragraph`, `number`, `boolean`, `select`, `image`, `group`); attributes
are in snake_case, and Devvit's camelCase is read too. The browser checks nothing that counts: every submission is validated here.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from showground.ui.faults import fault
from showground.ui.names import nearest

Form = dict[str, Any]
"""A checked form, JSON, as `docs/browser-protocol.md` describes it."""
Field = dict[str, Any]

FORM_KEYS = ("title", "description", "accept_label", "cancel_label", "fields")
_BASE = ("type", "name", "label", "help_text", "required", "disabled", "default_value", "scope")
FIELD_KEYS: Mapping[str, tuple[str, ...]] = {
    "string": (*_BASE, "placeholder", "is_secret"),
    "paragraph": (*_BASE, "placeholder", "line_height"),
    "number": (*_BASE, "min", "max", "step"),
    "boolean": tuple(k for k in _BASE if k != "required"),
    "select": (*_BASE, "options", "multi_select"),
    "image": tuple(k for k in _BASE if k != "default_value"),
    "group": ("type", "label", "help_text", "fields"),
}
MAX_FIELDS = 100
MAX_TEXT = 10_000
"""Characters of one answer to a `string`; a `paragraph` may have ten times as many."""
_CAPITAL = re.compile(r"(?<!^)(?=[A-Z])")
_TEXT_KEYS = ("label", "help_text", "placeholder", "title", "description", "accept_label", "cancel_label", "scope")
_FLAG_KEYS = ("required", "disabled", "is_secret", "multi_select")
_NUMBER_KEYS = ("min", "max", "step", "line_height")


def normalise_form(form: Any) -> Form:
    """A checked copy of *form* with what is missing filled in. Raises `app_error` that names the field and the remedy."""
    if not isinstance(form, Mapping):
        raise fault(
            f"a form is a {type(form).__name__}", 'Write {"title": "…", "fields": [{"type": "string", "name": "who"}]}.'
        )
    found = _named(form, FORM_KEYS, "a form")
    fields = found.get("fields")
    if not isinstance(fields, Sequence) or isinstance(fields, str):
        raise fault("a form has no list of fields", 'Write "fields": [{"type": "string", "name": "who"}].')
    seen: set[str] = set()
    found["fields"] = [_field(field, seen) for field in fields]
    if len(seen) > MAX_FIELDS:
        raise fault(f"a form has {len(seen)} fields", f"At most {MAX_FIELDS} are shown; ask in several steps.")
    return found


def fields_of(form: Mapping[str, Any]) -> Iterator[Field]:
    """The fields that have values, groups flattened, in order."""
    for field in form["fields"]:
        if field["type"] == "group":
            yield from fields_of(field)
        else:
            yield field


def _named(given: Mapping[Any, Any], known: Sequence[str], what: str) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for name, value in given.items():
        snake = _CAPITAL.sub("_", str(name)).lower()
        if snake not in known:
            raise fault(f"{what} has no attribute {name!r}", nearest(snake, known) or f"It takes {', '.join(known)}.")
        if value is None:
            continue
        right = (
            isinstance(value, str)
            if snake in _TEXT_KEYS
            else isinstance(value, bool)
            if snake in _FLAG_KEYS
            else _is_number(value)
            if snake in _NUMBER_KEYS
            else True
        )
        if not right:
            kind = "text" if snake in _TEXT_KEYS else "True or False" if snake in _FLAG_KEYS else "a number"
            raise fault(f"{what}: {snake} is {value!r}", f"It is {kind}.")
        found[snake] = value
    return found


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)


def _field(given: Any, seen: set[str]) -> Field:
    kind = given.get("type") if isinstance(given, Mapping) else None
    if not isinstance(kind, str) or kind not in FIELD_KEYS:
        hint = nearest(str(kind), FIELD_KEYS) if kind else ""
        raise fault(f"a form has the unknown field {given!r:.80}", hint or f"The types are {', '.join(FIELD_KEYS)}.")
    name = given.get("name")
    what = f"the {kind} field {name!r}" if name else f"a {kind} field"
    found = _named(given, FIELD_KEYS[kind], what)
    if kind == "group":
        fields = found.get("fields", ())
        found["fields"] = [_field(field, seen) for field in fields]
        found.setdefault("label", "")
        return found
    if not isinstance(name, str) or not name:
        raise fault(f"{what} has no name", 'Write "name": "answer".')
    if name in seen:
        raise fault(f"Duplicate field name: {name}", "Names are unique within a form, groups included.")
    seen.add(name)
    found.setdefault("label", name)
    if kind == "select":
        found["options"] = _options(found.get("options"), what)
        if isinstance(found.get("default_value"), str):
            found["default_value"] = [found["default_value"]]
    if "default_value" in found:
        message = _breach({**found, "required": False}, found["default_value"])
        if message:
            raise fault(f"{what}: its default does not fit: {message}", f"It is {found['default_value']!r}.")
    return found


def _options(given: Any, what: str) -> list[dict[str, str]]:
    found: list[dict[str, str]] = []
    for option in given if isinstance(given, Sequence) and not isinstance(given, str) else ():
        match option:
            case {"value": str(value)}:
                found.append({"label": str(option.get("label", value)), "value": value})
            case (str(label), str(value)):
                found.append({"label": label, "value": value})
            case str(value):
                found.append({"label": value, "value": value})
            case _:
                raise fault(f"{what} has the option {option!r}", 'Write {"label": "Red", "value": "red"}.')
    if not found:
        raise fault(f"{what} has no options", 'Write "options": [{"label": "Red", "value": "red"}].')
    return found


def form_schema(form: Mapping[str, Any]) -> dict[str, Any]:
    """JSON Schema (2020-12) of the values that `validate` accepts, for hosts, documentation and tests."""
    properties: dict[str, Any] = {}
    required: list[str] = []
    for field in fields_of(form):
        if field.get("disabled"):
            continue
        properties[field["name"]] = _schema(field)
        if field.get("required"):
            required.append(field["name"])
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "type": "object",
        "properties": properties,
        "required": required,
        "additionalProperties": False,
    }


def _schema(field: Field) -> dict[str, Any]:
    needed = 1 if field.get("required") else 0
    match field["type"]:
        case "number":
            limits = {"min": "minimum", "max": "maximum"}
            return {"type": "number", **{limits[k]: field[k] for k in limits if k in field}}
        case "boolean":
            return {"type": "boolean"}
        case "select":
            schema: dict[str, Any] = {
                "type": "array",
                "items": {"enum": [option["value"] for option in field["options"]]},
                "uniqueItems": True,
                "minItems": needed,
            }
            return schema if field.get("multi_select") else {**schema, "maxItems": 1}
        case kind:
            length = MAX_TEXT * 10 if kind == "paragraph" else MAX_TEXT
            return {"type": "string", "minLength": needed, "maxLength": length}


def validate(form: Mapping[str, Any], given: Any) -> tuple[dict[str, Any], dict[str, str]]:
    """`(values, errors)` of one submission of *form* (checked): errors by field name, empty when all is well.

    Optional fields that were left empty are left out of the values, as in Devvit; a select gives a list, empty if need be.
    Values of disabled fields are the form's own, whatever was sent; unknown names are errors under their name.
    """
    sent = given if isinstance(given, Mapping) else {}
    values: dict[str, Any] = {}
    errors: dict[str, str] = {} if isinstance(given, Mapping) else {"": "The values are not an object."}
    names: set[str] = set()
    for field in fields_of(form):
        name = field["name"]
        names.add(name)
        value = field.get("default_value") if field.get("disabled") else sent.get(name)
        if value is None or (value == "" and field["type"] in ("string", "paragraph", "image")):
            if field["type"] == "select":
                value = []
            elif field.get("required") and not field.get("disabled"):
                errors[name] = "Please fill this in."
                continue
            else:
                continue
        message = _breach(field, value)
        if message and not field.get("disabled"):
            errors[name] = message
        else:
            values[name] = list(value) if field["type"] == "select" else value
    for name in sent:
        if name not in names:
            errors[str(name)[:80]] = "The form has no such field."
    return values, errors


def _breach(field: Field, value: Any) -> str:
    """What is wrong with *value*, for the viewer; empty when nothing is."""
    match field["type"]:
        case "number":
            if not _is_number(value):
                return "This is not a number."
            if "min" in field and value < field["min"]:
                return f"At least {field['min']:g}."
            if "max" in field and value > field["max"]:
                return f"At most {field['max']:g}."
            return ""
        case "boolean":
            return "" if isinstance(value, bool) else "This is neither yes nor no."
        case "select":
            allowed = {option["value"] for option in field["options"]}
            if not isinstance(value, list | tuple) or not all(isinstance(v, str) and v in allowed for v in value):
                return "Choose from the list."
            if len(set(value)) != len(value) or (len(value) > 1 and not field.get("multi_select")):
                return "Choose one."
            return "Please choose." if field.get("required") and not value else ""
        case kind:
            if not isinstance(value, str):
                return "This is not text."
            most = MAX_TEXT * 10 if kind == "paragraph" else MAX_TEXT
            if len(value) > most:
                return f"At most {most} characters."
            if kind == "image" and not value.startswith(("https://", "http://", "/")):
                return "This is not the address of an image."
            return ""
