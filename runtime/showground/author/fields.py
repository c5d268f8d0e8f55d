"""Settings fields: from what an author wrote to plain data, with every fault named."""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, get_args

from showground.author.records import FieldType, Handler, SettingField, SettingGroup
from showground.errors import Problem
from showground.model import SettingSpec

KEYS = {f.name for f in dataclasses.fields(SettingField)}
GROUP_KEYS = {"type", "label", "fields", "help_text", "scope"}
TYPES: tuple[str, ...] = get_args(FieldType)
SCOPES = ("installation", "app")
_CAPITAL = re.compile(r"(?<!^)(?=[A-Z])")


@dataclasses.dataclass(frozen=True, slots=True)
class Setting:
    spec: SettingSpec
    validator: Handler | None
    where: str


class SettingFields:
    """Collects the settings of one bundle; names are unique over all scopes and groups."""

    def __init__(self, problems: list[Problem], check_handler: Callable[[Any, int, str, str], None]) -> None:
        self.found: dict[str, Setting] = {}
        self._problems = problems
        self._check_handler = check_handler

    def add(self, given: Any, where: str, group: str = "") -> None:
        """Take a field, a group or a mapping of either."""
        if isinstance(given, SettingGroup):
            self._group(given.label, given.fields, where)
        elif isinstance(given, Mapping) and given.get("type") == "group":
            self._unknown_keys(given, GROUP_KEYS, where)
            if given.get("scope", "installation") != "installation":
                self._problem(where, "a settings group is of scope installation", "Leave its scope out.")
            self._group(given.get("label", ""), given.get("fields", ()), where)
        elif isinstance(given, SettingField):
            self._field(given, where, group)
        elif isinstance(given, Mapping):
            self._unknown_keys(given, KEYS, where)
            if isinstance(given.get("name"), str) and isinstance(given.get("type"), str):
                self._field(SettingField(**{k: v for k, v in given.items() if k in KEYS}), where, group)
            else:
                self._problem(
                    where,
                    "a settings field lacks a name or a type",
                    'Write {"name": "greeting", "type": "string", "label": "Greeting"}.',
                )
        else:
            self._problem(
                where,
                f"a settings field is a {type(given).__name__}",
                "Write a mapping, a SettingField or a SettingGroup.",
            )

    def _problem(self, where: str, message: str, remedy: str) -> None:
        self._problems.append(Problem(where, message, remedy))

    def _unknown_keys(self, given: Mapping[str, Any], known: set[str], where: str) -> None:
        for key in given:
            if key in known:
                continue
            snake = _CAPITAL.sub("_", str(key)).lower()
            remedy = f"Write {snake}." if snake in known else f"The attributes are {', '.join(sorted(known))}."
            self._problem(where, f"a settings field has no attribute {key!r}", remedy)

    def _group(self, label: Any, fields: Any, where: str) -> None:
        if not isinstance(fields, Sequence) or isinstance(fields, str):
            self._problem(where, f"the fields of the settings group {label!r} are not a list", "Give a list of fields.")
            return
        for one in fields:
            self.add(one, where, str(label))

    def _field(self, field: SettingField, where: str, group: str) -> None:
        name = field.name
        if not isinstance(name, str) or not name:
            self._problem(where, "a settings field has no name", "Give it one.")
            return
        named = f"the setting {name!r}"
        if field.type not in TYPES:
            self._problem(where, f"{named} has the unknown type {field.type!r}", f"The types are {', '.join(TYPES)}.")
            return
        if field.scope not in SCOPES:
            self._problem(where, f"{named} has the unknown scope {field.scope!r}", "Use installation or app.")
            return
        if group and field.scope == "app":
            self._problem(where, f"{named} of scope app stands in a group", "Groups are of scope installation.")
        if field.is_secret and (field.scope != "app" or field.type != "string" or group):
            self._problem(
                where,
                f"{named} is secret, and only string settings of scope app can be",
                'Write scope="app" and type="string", outside of any group, or drop is_secret.',
            )
        options = tuple(_options(field.options))
        self._select(field, options, named, where)
        if field.default_value is not None and not _fits(field, options):
            self._problem(
                where,
                f"the default of {named} does not fit its type {field.type}",
                f"It is {field.default_value!r}.",
            )
        if field.on_validate is not None:
            self._check_handler(field.on_validate, 2, f"the validator of {named}", where)
        if name in self.found:
            self._problem(
                where,
                f"Duplicate field name: {name}",
                f"It was declared at {self.found[name].where}; names are unique over all scopes and groups.",
            )
            return
        spec = SettingSpec(
            name=name,
            type=field.type,
            label=field.label or name,
            scope=field.scope,
            help_text=field.help_text,
            placeholder=field.placeholder,
            default=list(field.default_value) if isinstance(field.default_value, tuple) else field.default_value,
            is_secret=field.is_secret,
            options=options,
            multi_select=field.multi_select,
            group=group,
            has_validator=field.on_validate is not None,
        )
        self.found[name] = Setting(spec, field.on_validate, where)

    def _select(self, field: SettingField, options: tuple[tuple[str, str], ...], named: str, where: str) -> None:
        if field.type == "select" and (not options or len(options) != len(field.options)):
            self._problem(
                where, f"{named} is a select without options", 'Give options=[{"label": "Red", "value": "red"}].'
            )
        elif field.type != "select" and (field.options or field.multi_select):
            self._problem(where, f"{named} has options but is no select", 'Write type="select".')


def _options(given: Any) -> Iterator[tuple[str, str]]:
    for option in given if isinstance(given, Sequence) and not isinstance(given, str) else ():
        if isinstance(option, Mapping) and isinstance(option.get("value"), str):
            yield str(option.get("label", option["value"])), option["value"]
        elif isinstance(option, tuple | list) and len(option) == 2 and all(isinstance(o, str) for o in option):
            yield option[0], option[1]


def _fits(field: SettingField, options: tuple[tuple[str, str], ...]) -> bool:
    value = field.default_value
    match field.type:
        case "number":
            return isinstance(value, int | float) and not isinstance(value, bool)
        case "boolean":
            return isinstance(value, bool)
        case "select":
            chosen = value if isinstance(value, list | tuple) else [value]
            values = [v for _, v in options]
            return all(c in values for c in chosen) and (field.multi_select or len(chosen) <= 1)
        case _:
            return isinstance(value, str)
