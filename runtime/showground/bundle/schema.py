"""Checks `app.json` against the published JSON Schema, and says everything that is wrong with it, where, and what to do.

Separate from `showground.bundle.manifest`, because workers read manifests and do not need a validator.
"""

from __future__ import annotations

import difflib
import functools
import json
from collections.abc import Iterator
from importlib import resources
from pathlib import Path
from typing import Any

import jsonschema
from jsonschema.protocols import Validator

from showground.bundle.manifest import FILE, Manifest, decode_manifest, manifest_bytes
from showground.errors import Problem, ShowgroundError

MAX_BYTES = 256 * 1024


@functools.cache
def manifest_schema() -> dict[str, Any]:
    """The JSON Schema (2020-12) of `app.json`, as published in the package."""
    text = resources.files("showground").joinpath("schemas/manifest.json").read_text("utf-8")
    schema: dict[str, Any] = json.loads(text)
    return schema


def manifest_problems(data: bytes) -> list[Problem]:
    """Everything that is wrong with these bytes as an `app.json`, in the order of its paths."""
    if len(data) > MAX_BYTES:
        return [
            Problem(FILE, f"it has {len(data)} bytes; the limit is {MAX_BYTES}", "Move data into files of its own.")
        ]
    try:
        document = json.loads(data, object_pairs_hook=_unique)
    except json.JSONDecodeError as error:
        return [Problem(f"{FILE}:{error.lineno}", f"it is no JSON: {error.msg} (column {error.colno})", "Correct it.")]
    except UnicodeDecodeError:
        return [Problem(FILE, "it is not UTF-8", "Save it as UTF-8.")]
    except (ValueError, RecursionError) as error:
        return [Problem(FILE, str(error) or "it is nested too deeply", "Correct it.")]
    validator: Validator = jsonschema.Draft202012Validator(manifest_schema())
    found = sorted(validator.iter_errors(document), key=lambda e: [str(p) for p in e.absolute_path])
    return [problem for error in found for problem in _explain(error)]


def check_manifest(data: bytes) -> None:
    """Raises `bundle_invalid` with every fault in `details`."""
    problems = manifest_problems(data)
    if problems:
        raise ShowgroundError("bundle_invalid", "The manifest has faults", FILE, details=tuple(problems))


def load_manifest(folder: Path) -> Manifest:
    """Read the `app.json` of a bundle and check all of it. Raises `bundle_invalid` with every fault in `details`."""
    data = manifest_bytes(folder)
    check_manifest(data)
    return decode_manifest(data)


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """JSON readers disagree on a key that is given twice, so it is refused."""
    found: dict[str, Any] = {}
    for key, value in pairs:
        if key in found:
            raise ValueError(f"the key {key!r} is given twice in one object")
        found[key] = value
    return found


def _explain(error: jsonschema.ValidationError) -> Iterator[Problem]:
    where = "/".join([FILE, *(str(p) for p in error.absolute_path)])
    rule: Any = error.schema
    wanted: Any = error.validator_value
    given: Any = error.instance
    match error.validator:
        case "additionalProperties" if wanted is False and isinstance(rule, dict):
            known = [name for name in rule.get("properties", {}) if name != "$schema"]
            for name in given:
                if name not in rule.get("properties", {}):
                    near = difflib.get_close_matches(name, known, 1)
                    remedy = f"Did you mean {near[0]}?" if near else f"The keys are {', '.join(known)}."
                    yield Problem(f"{where}/{name}", "there is no such key", remedy)
        case "required":
            for name in wanted:
                if name not in given and f"'{name}'" in error.message:
                    yield Problem(f"{where}/{name}", "it is missing", f"Add {name}.")
        case "enum":
            yield Problem(where, f"{given!r} is none of its values", f"Use {_or(wanted)}.")
        case "type":
            kinds = " or ".join(wanted) if isinstance(wanted, list) else str(wanted)
            yield Problem(where, f"{_short(given)} is no {kinds}", f"Give a value of type {kinds}.")
        case _:
            remedy = rule.get("x-remedy", "") if isinstance(rule, dict) else ""
            text = f"{_short(given)} does not fit" if remedy else error.message
            yield Problem(where, text, remedy or f"See {error.validator} in the manifest's schema.")


def _or(values: list[str]) -> str:
    return " or ".join(str(v) for v in values)


def _short(value: Any) -> str:
    text = json.dumps(value, ensure_ascii=False)
    return text if len(text) <= 60 else f"{text[:57]}…"
