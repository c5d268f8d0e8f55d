"""What a field of an app's settings takes: its type as a schema, its default, what is wrong with a value or with the field."""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache
from typing import Any, Literal

import jsonschema
import msgspec

from showground.errors import Problem
from showground.model import AppVersion, Json, SettingSpec

MAX_BYTES = 2048
"""Of one value, as in Devvit."""

SettingType = Literal["string", "paragraph", "number", "boolean", "select"]


def setting_schema(type: SettingType, options: Sequence[str] = (), multi_select: bool = False) -> dict[str, Any]:
    """JSON Schema (2020-12) of one field's value; None, which unsets it, is dealt with before."""
    if type == "select":
        schema: dict[str, Any] = {"type": "array", "items": {"enum": list(options)}, "uniqueItems": True}
        return schema if multi_select else {**schema, "maxItems": 1}
    return {"type": "string" if type == "paragraph" else type}


@lru_cache(maxsize=512)
def _validator(type: SettingType, options: tuple[str, ...], multi_select: bool) -> jsonschema.Draft202012Validator:
    return jsonschema.Draft202012Validator(setting_schema(type, options, multi_select))


def value_faults(spec: SettingSpec, value: Json) -> list[Problem]:
    """What is wrong with *value* in this field; None unsets it, and is never wrong."""
    if value is None:
        return []
    validator = _validator(spec.type, tuple(value for _, value in spec.options), spec.multi_select)
    # The value of a secret must not come back in a message.
    problems = [
        Problem(spec.name, f"must be a {spec.type}" if spec.is_secret else error.message)
        for error in validator.iter_errors(value)
    ]
    if not problems and len(msgspec.json.encode(value)) > MAX_BYTES:
        problems.append(Problem(spec.name, f"is larger than {MAX_BYTES} bytes"))
    return problems


def as_list(spec: SettingSpec, value: Json) -> Json:
    """The value as it is kept: of a select a list, also of one."""
    return [value] if spec.type == "select" and isinstance(value, str) else value


def default_value(spec: SettingSpec) -> Json:
    """What the app sees while nobody has set the field."""
    if spec.type == "select":
        return [] if spec.default is None else as_list(spec, spec.default)
    return spec.default


def import_faults(version: AppVersion, scope: str, name: str, value: Json) -> list[Problem]:
    """What is wrong with one value of an export for this version."""
    spec = next((s for s in version.registration.settings if s.name == name and s.scope == scope), None)
    if spec is None:
        return [
            Problem(name, f"{version.app} {version.version} has no such setting", "Import into the version it is of.")
        ]
    return [Problem(name, "has no value")] if value is None else value_faults(spec, value)


def spec_problems(spec: SettingSpec) -> list[Problem]:
    """What is wrong with a field before it has any value: found at upload, so that it can't be met at run time."""
    where = f"settings/{spec.name}"
    problems = [
        Problem(where, f"its default does not fit: {p.message}", "Give a default of the field's type.")
        for p in value_faults(spec, default_value(spec))
    ]
    if spec.is_secret and spec.scope != "app":
        problems.append(
            Problem(where, "a secret has to be app-wide", 'Give it the scope "app", as Devvit asks for, too.')
        )
    if spec.is_secret and spec.type not in ("string", "paragraph"):
        problems.append(Problem(where, f"a secret can't be a {spec.type}", "Make it a string."))
    if spec.is_secret and spec.default is not None:
        problems.append(
            Problem(
                where,
                "a secret can't have a default",
                "Whoever reads the bundle could read it; set it after the upload.",
            )
        )
    if spec.type == "select" and not spec.options:
        problems.append(Problem(where, "has no options to select from", "Give label and value of each."))
    return problems
