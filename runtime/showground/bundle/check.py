"""What can be seen to be wrong in a bundle without running its code: files, manifest, syntax, and names that do not fit.

`showground check` adds what loading the bundle in a worker finds. Only what is certain is reported: names that are made at run
time, capabilities reached through variables, and the like are left to the host.
"""

from __future__ import annotations

import ast
import difflib
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from showground.bundle.archive import content_files
from showground.bundle.manifest import FILE, OPTIONS, Manifest, decode_manifest, manifest_bytes
from showground.bundle.schema import manifest_problems
from showground.crontab import parse_crontab
from showground.errors import Problem, ShowgroundError
from showground.keys import CHANNEL_NAME

MAX_CHANNELS: Final = 5
"""Channels per installation (Devvit's quota, seed page)."""
USES: Final = {"redis": "redis", "cache": "redis", "realtime": "realtime", "reddit": "reddit", "media": "media"}
"""`context.<member>` and the capability that it needs."""
REGISTRATIONS: Final = frozenset(
    {"add_trigger", "add_scheduler_job", "add_custom_post_type", "add_menu_item", "add_settings", "create_form"}
)


def check_folder(folder: Path) -> list[Problem]:
    """Everything that is wrong with the bundle in *folder*, as far as reading tells; empty when nothing is. Never raises."""
    try:
        names = content_files(folder)
        data = manifest_bytes(folder)
    except ShowgroundError as error:
        return list(error.details) or [Problem(error.where, error.message, error.remedy)]
    problems = manifest_problems(data)
    manifest = decode_manifest(data) if not problems else None
    if manifest is not None:
        problems += _manifest_values(manifest, names)
    sources = [_read(folder, name, problems) for name in names if name.endswith(".py") and not _is_test(name)]
    problems += _reserved(names)
    problems += _code([source for source in sources if source is not None], manifest)
    return problems


@dataclass(slots=True)
class _Use:
    """What the code of a bundle uses, each with the place of its first use."""

    configured: set[str] = field(default_factory=set)
    opaque: bool = False
    """Whether options, jobs or registrations are made in a way that reading cannot follow."""
    capabilities: dict[str, tuple[str, str]] = field(default_factory=dict)
    channels: dict[str, str] = field(default_factory=dict)
    bad_channels: list[tuple[str, str]] = field(default_factory=list)
    jobs: set[str] = field(default_factory=set)
    wanted_jobs: list[tuple[str, str]] = field(default_factory=list)
    crons: list[tuple[str, str]] = field(default_factory=list)
    zones: list[tuple[str, str]] = field(default_factory=list)
    problems: list[Problem] = field(default_factory=list)


def _read(folder: Path, name: str, problems: list[Problem]) -> tuple[str, ast.Module] | None:
    try:
        return name, ast.parse((folder / name).read_bytes(), name)
    except SyntaxError as error:
        problems.append(Problem(f"{name}:{error.lineno or 1}", f"{type(error).__name__}: {error.msg}", "Correct it."))
    except (ValueError, RecursionError, MemoryError) as error:
        problems.append(Problem(name, f"it cannot be parsed: {error}", "Correct it."))
    return None


def _is_test(name: str) -> bool:
    return name.startswith("tests/") or name.rpartition("/")[2].startswith("test_")


def _reserved(names: Iterable[str]) -> Iterator[Problem]:
    for name in names:
        if name == "showground.py" or name.startswith("showground/"):
            yield Problem(name, "the bundle hides the module showground", "Rename it.")


def _manifest_values(manifest: Manifest, names: list[str]) -> Iterator[Problem]:
    if manifest.entry not in names:
        yield Problem(manifest.entry, "the entry does not exist", f"Create it, or name another one as entry in {FILE}.")
    for index, job in enumerate(manifest.jobs):
        yield from _cron_problem(f"{FILE}/jobs/{index}/cron", job.cron)
        yield from _zone_problem(f"{FILE}/jobs/{index}/timezone", job.timezone)


def _cron_problem(where: str, cron: str) -> Iterator[Problem]:
    try:
        parse_crontab(cron)
    except ShowgroundError as error:
        yield Problem(where, f"{error.message}: {cron!r}", error.remedy)


def _zone_problem(where: str, zone: str) -> Iterator[Problem]:
    try:
        ZoneInfo(zone)
    except (ZoneInfoNotFoundError, ValueError, OSError):
        yield Problem(where, f"there is no time zone {zone!r}", "Use a name of the tz database, such as Europe/Berlin.")


def _code(sources: list[tuple[str, ast.Module]], manifest: Manifest | None) -> list[Problem]:
    use = _Use()
    for name, tree in sources:
        try:
            _Reader(name, use).visit(tree)
        except RecursionError:
            use.problems.append(Problem(name, "it is nested too deeply to be read", "Split its longest expression."))
    found = list(use.problems)
    if not use.opaque:
        for capability, (where, what) in use.capabilities.items():
            if capability not in use.configured:
                found.append(
                    Problem(
                        where,
                        f"{what} is used, but {capability} was not configured",
                        f"Add Devvit.configure({capability}=True).",
                    )
                )
        for name, where in use.wanted_jobs:
            if name not in use.jobs:
                near = difflib.get_close_matches(name, use.jobs, 1)
                remedy = f"Did you mean {near[0]}?" if near else f"Add @Devvit.add_scheduler_job({name!r})."
                found.append(Problem(where, f"Job {name} not found", remedy))
    for name, where in use.bad_channels:
        found.append(Problem(where, f"{name!r} is no channel name", "Use letters, digits and _, at most 64."))
    if len(use.channels) > MAX_CHANNELS:
        over = list(use.channels.items())[MAX_CHANNELS]
        found.append(
            Problem(
                over[1],
                f"{over[0]} is the sixth channel; an installation has {MAX_CHANNELS}",
                f"Send different messages through one channel. The others: {', '.join(list(use.channels)[:5])}.",
            )
        )
    for cron, where in use.crons:
        found += _cron_problem(where, cron)
    for zone, where in use.zones:
        found += _zone_problem(where, zone)
    return found


class _Reader(ast.NodeVisitor):
    """Reads one module. What it looks for is written as literals in nearly every app; what is not is passed over."""

    def __init__(self, name: str, use: _Use) -> None:
        self._name = name
        self._use = use

    def _where(self, node: ast.expr | ast.stmt) -> str:
        return f"{self._name}:{node.lineno}"

    def visit_Attribute(self, node: ast.Attribute) -> None:
        if isinstance(node.value, ast.Name) and node.value.id == "context":
            capability = USES.get(node.attr)
            if capability is not None:
                self._use.capabilities.setdefault(capability, (self._where(node), f"context.{node.attr}"))
            elif node.attr == "fetch":
                self._use.capabilities.setdefault("http", (self._where(node), "context.fetch"))
        self.generic_visit(node)

    def visit_FunctionDef(self, node: ast.FunctionDef) -> None:
        if any(_called(d) == "hookimpl" for d in node.decorator_list) and node.name == "configure":
            self._configure_hook(node)
        self.generic_visit(node)

    def visit_Call(self, node: ast.Call) -> None:
        match _called(node.func):
            case "configure" if _owner(node.func) == "Devvit":
                self._options([k.arg for k in node.keywords], [k.value for k in node.keywords])
            case "use_channel":
                self._channel(node, "use_channel")
            case "send" if _owner(node.func) == "realtime":
                self._channel(node, "context.realtime")
            case "add_scheduler_job" | "SchedulerJob":
                self._job(node)
            case "run_job":
                self._run_job(node)
        self.generic_visit(node)

    def _configure_hook(self, node: ast.FunctionDef) -> None:
        returned = [n.value for n in ast.walk(node) if isinstance(n, ast.Return)]
        for value in returned:
            if isinstance(value, ast.Dict):
                self._options([_text(k) if k is not None else None for k in value.keys], value.values)
            else:
                self._use.opaque = True

    def _options(self, names: list[str | None], values: list[ast.expr]) -> None:
        for name, value in zip(names, values, strict=True):
            if name is None:
                self._use.opaque = True
            elif not (isinstance(value, ast.Constant) and value.value is False):
                self._use.configured.add(OPTIONS.get(name, name))

    def _channel(self, node: ast.Call, what: str) -> None:
        self._use.capabilities.setdefault("realtime", (self._where(node), what))
        name = _text(_argument(node, "name"))
        if name is None:
            return
        if not CHANNEL_NAME.fullmatch(name.rpartition(":")[2]):
            self._use.bad_channels.append((name, self._where(node)))
        else:
            self._use.channels.setdefault(name, self._where(node))

    def _job(self, node: ast.Call) -> None:
        name = _text(_argument(node, "name"))
        if name is None:
            self._use.opaque = True
        else:
            self._use.jobs.add(name)

    def _run_job(self, node: ast.Call) -> None:
        where = self._where(node)
        name = _text(_argument(node, "name"))
        given = {k.arg: k.value for k in node.keywords}
        if name is not None:
            self._use.wanted_jobs.append((name, where))
        cron, zone = _text(given.get("cron")), _text(given.get("timezone"))
        if cron is not None:
            self._use.crons.append((cron, where))
        if zone is not None:
            self._use.zones.append((zone, where))
        if None in given:
            return  # **options: nothing is certain
        times = (given.get("cron"), given.get("run_at"))
        if all(value is not None and _is_surely_given(value) for value in times):
            self._use.problems.append(Problem(where, "run_job got both cron and run_at", "Give one of them."))
        elif all(value is None or _is_none(value) for value in times):
            self._use.problems.append(
                Problem(where, "Must include timestamp or crontab with schedule request", "Give cron or run_at.")
            )


def _is_none(node: ast.expr) -> bool:
    return isinstance(node, ast.Constant) and node.value is None


def _is_surely_given(node: ast.expr) -> bool:
    """Whether it is a value that can be told to be another than None. A name or a call may be either when it runs."""
    return isinstance(node, ast.JoinedStr | ast.BinOp) or (isinstance(node, ast.Constant) and node.value is not None)


def _called(node: ast.expr) -> str:
    """The last name of what is called: `run_job` of `context.scheduler.run_job(…)`."""
    if isinstance(node, ast.Call):
        node = node.func
    if isinstance(node, ast.Attribute):
        return node.attr
    return node.id if isinstance(node, ast.Name) else ""


def _owner(node: ast.expr) -> str:
    """The name before the last: `realtime` of `context.realtime.send`."""
    return _called(node.value) if isinstance(node, ast.Attribute) else ""


def _argument(node: ast.Call, keyword: str) -> ast.expr | None:
    """The keyword argument, or the first positional one."""
    named = next((k.value for k in node.keywords if k.arg == keyword), None)
    return named if named is not None else (node.args[0] if node.args else None)


def _text(node: ast.expr | None) -> str | None:
    return node.value if isinstance(node, ast.Constant) and isinstance(node.value, str) else None
