"""Which event types there are, and what their payloads must look like."""

from __future__ import annotations

import difflib
import re
from collections.abc import Mapping, Sequence
from itertools import islice
from typing import Any

import jsonschema_rs

from showground.errors import Problem, ShowgroundError
from showground.events.payloads import DIALECT, PAYLOADS, Schema
from showground.model import Frozen

CUSTOM_NAME = re.compile(r"[a-z0-9.-]+\.[A-Za-z0-9.]+")
"""The same rule as `add_trigger` applies: dotted, so that no name of ours can ever clash with it."""
MAX_NAME = 128
MAX_CUSTOM = 500
MAX_PROBLEMS = 20
"""Breaches told of one payload; the rest is left out."""


class EventType(Frozen, frozen=True, kw_only=True):
    name: str
    description: str
    custom: bool
    schema: Mapping[str, Any]


class Catalogue:
    """The built-in event types and the operator's. Each schema is compiled once, here.

    Raises `misconfigured` for a custom name that is not dotted and for a schema that is none; a schema may not refer to
    another document, so that validation never opens a file or a connection.
    """

    def __init__(self, custom: Mapping[str, Schema] | None = None) -> None:
        custom = custom or {}
        problems: list[Problem] = []
        if len(custom) > MAX_CUSTOM:
            problems.append(Problem("events.types", f"there are more than {MAX_CUSTOM}", "Use fewer, wider types."))
        self._validators: dict[str, Any] = {
            name: jsonschema_rs.validator_for(dict(schema), offline=True) for name, schema in PAYLOADS.items()
        }
        self._types = {
            name: EventType(name=name, description=schema["description"], custom=False, schema=schema)
            for name, schema in PAYLOADS.items()
        }
        for name, schema in custom.items():
            where = f"events.types.{name}"
            if len(name) > MAX_NAME or not CUSTOM_NAME.fullmatch(name):
                problems.append(
                    Problem(where, f"{name!r} is not a dotted name", "Write it like com.example.OrderPaid.")
                )
                continue
            try:
                self._validators[name] = jsonschema_rs.validator_for({"$schema": DIALECT, **schema}, offline=True)
            except (jsonschema_rs.ValidationError, ValueError, TypeError) as error:
                first = str(error).strip().splitlines()[0]
                problems.append(
                    Problem(where, f"its schema is not valid: {first}", "See json-schema.org, draft 2020-12.")
                )
                continue
            description = schema.get("description", "")
            self._types[name] = EventType(name=name, description=str(description), custom=True, schema=schema)
        if problems:
            raise ShowgroundError("misconfigured", "custom event types are wrong", "events.types", details=problems)

    def __contains__(self, name: object) -> bool:
        return name in self._types

    def types(self) -> Sequence[EventType]:
        """By name."""
        return [self._types[name] for name in sorted(self._types)]

    def check(self, name: str, data: object, where: str = "data") -> Sequence[Problem]:
        """What is wrong with *data* as the payload of *name*; an unknown *name* is one problem, with the nearest names."""
        validator = self._validators.get(name)
        if validator is None:
            near = difflib.get_close_matches(name, self._types, 3, 0.6)
            remedy = f"Did you mean {' or '.join(near)}?" if near else "GET /api/v1/event-types lists them all."
            return [Problem(_up(where, "type"), f"there is no event type {name[:100]!r}", remedy)]
        if not isinstance(data, dict):
            return [Problem(where, "the payload must be a JSON object", "Send an object, at least {}.")]
        if validator.is_valid(data):
            return ()
        return [
            Problem(
                ".".join((where, *map(str, error.instance_path))),
                _clipped(error.message),
                f"GET /api/v1/event-types has the schema of {name}.",
            )
            for error in islice(validator.iter_errors(data), MAX_PROBLEMS)
        ]


def _clipped(message: str) -> str:
    """A validator's message quotes the value, which may be long; its end says what is wrong with it."""
    return message if len(message) <= 240 else f"{message[:100]} … {message[-120:]}"


def _up(where: str, sibling: str) -> str:
    head, dot, _ = where.rpartition(".")
    return f"{head}{dot}{sibling}"
