"""Writes the settings table of docs/operator-guide.md from the records that read them. With --check: exit 1 when they differ."""

from __future__ import annotations

import ast
import dataclasses
import inspect
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import msgspec
import msgspec.structs

from showground.deliveries import DeliverySettings
from showground.settings import SECTIONS, Settings, WebhookSettings
from showground_http.fetch import FetchOptions
from showground_realtime.settings import RealtimeSettings
from showground_redis_kv.quota import QUOTA_BYTES
from showground_scheduler.options import Options as SchedulerOptions

PAGE = Path(__file__).parents[1] / "docs" / "operator-guide.md"
BEGIN, END = "<!-- settings: made by tools/settings_reference.py -->", "<!-- end of settings -->"
OF_PARTS: Mapping[str, type[Any]] = {
    "deliveries": DeliverySettings,
    "realtime": RealtimeSettings,
    "scheduler": SchedulerOptions,
    "http": FetchOptions,
}
TOP_LEVEL = ("providers", "disabled_plugins")


def meanings(kind: type[Any]) -> Iterator[tuple[str, str]]:
    """Each field of *kind* with the text that follows it in the source."""
    [definition] = ast.parse(inspect.getsource(kind)).body
    assert isinstance(definition, ast.ClassDef)
    for statement, after in zip(definition.body, [*definition.body[1:], None], strict=True):
        if isinstance(statement, ast.AnnAssign) and isinstance(statement.target, ast.Name):
            text = after.value if isinstance(after, ast.Expr) else None
            said = text.value if isinstance(text, ast.Constant) and isinstance(text.value, str) else ""
            yield statement.target.id, " ".join(said.split()).replace("|", "\\|")


def defaults_of(kind: type[Any]) -> Iterator[tuple[str, Any]]:
    if not issubclass(kind, msgspec.Struct):
        yield from dataclasses.asdict(kind()).items()
        return
    for field in msgspec.structs.fields(kind):
        made = field.default_factory
        yield field.name, field.default if made is msgspec.NODEFAULT else made()


def rows(kind: type[Any], prefix: str = "") -> Iterator[str]:
    defaults = dict(defaults_of(kind))
    for name, meaning in meanings(kind):
        default = defaults[name]
        if isinstance(default, msgspec.Struct):
            yield f"| `{prefix}{name}` | | {meaning} |"
            yield from rows(type(default), f"{prefix}{name}.")
        else:
            yield f"| `{prefix}{name}` | {shown(default)} | {meaning} |"


def shown(default: Any) -> str:
    """As it would stand in the file."""
    if default is None:
        return "not set"
    if default is msgspec.NODEFAULT:
        return "required"
    if isinstance(default, Mapping):
        return "`{}`"
    return f"`{msgspec.json.encode(default).decode()}`"


def table() -> str:
    sections: Mapping[str, type[Any]] = {**SECTIONS, "webhooks.<name>": WebhookSettings, **OF_PARTS}
    parts = []
    for section, kind in sections.items():
        parts += [f"### [{section}]", "", "| setting | default | |", "|---|---|---|", *rows(kind), ""]
    parts += ["### [redis_kv]", "", "| setting | default | |", "|---|---|---|"]
    parts += [f"| `quota_bytes` | `{QUOTA_BYTES}` | Bytes that one installation may keep in Redis. |", ""]
    parts += ["### Beside the sections", "", "| setting | default | |", "|---|---|---|"]
    parts += [row for row in rows(Settings) if row.startswith(tuple(f"| `{name}`" for name in TOP_LEVEL))]
    return "\n".join(parts)


def main() -> int:
    page = PAGE.read_text("utf-8")
    head, begin, rest = page.partition(BEGIN)
    _, end, tail = rest.partition(END)
    if not begin or not end:
        print(f"{PAGE.name} has no {BEGIN} … {END}", file=sys.stderr)
        return 1
    wanted = f"{head}{BEGIN}\n\n{table()}\n\n{END}{tail}"
    if "--check" not in sys.argv:
        PAGE.write_text(wanted, "utf-8")
        return 0
    if page == wanted:
        return 0
    print(
        "docs/operator-guide.md: the settings have changed; run `python tools/settings_reference.py`.", file=sys.stderr
    )
    return 1


if __name__ == "__main__":
    sys.exit(main())
