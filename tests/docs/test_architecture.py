"""docs/architecture.md draws the map that the code has."""

import re
from collections import defaultdict
from pathlib import Path

import grimp

PAGE = (Path(__file__).parents[2] / "docs" / "architecture.md").read_text("utf-8")
ROOT = "showground"
BASE = {"errors", "keys", "model", "clock", "tasks", "crew", "soon"}
ANYTHING = {"host", "cli", "testing", "__main__"}


def part(module: str) -> str:
    """`apps` of `showground.apps.bundles`; the Redis protocol is a part of its own."""
    return "redis.api" if module == f"{ROOT}.redis.api" else module.split(".")[1]


def drawn() -> dict[str, set[str]]:
    """Part → what the table lets it import."""
    rows = re.findall(r"^\| ((?:`[a-z_]+/?`(?:, )?)+) \| .+ \| ([^|]+) \|$", PAGE, re.M)
    named = {
        name.rstrip("/"): set(re.findall(r"`([a-z_.]+)`", imports))
        for names, imports in rows
        for name in re.findall(r"`([a-z_]+/?)`", names)
    }
    return {name: imports for name, imports in named.items() if name != "module"}


def test_the_table_names_every_part_and_no_other() -> None:
    folder = Path(__file__).parents[2] / "runtime" / ROOT
    parts = {p.stem for p in folder.glob("*.py") if not p.stem.startswith("__")}
    parts |= {p.parent.name for p in folder.glob("*/__init__.py")}
    assert set(drawn()) == parts


def test_no_part_imports_what_the_table_does_not_say() -> None:
    graph = grimp.build_graph(ROOT, exclude_type_checking_imports=True, cache_dir=None)
    imports: dict[str, set[str]] = defaultdict(set)
    for module in graph.modules - {ROOT}:
        for imported in graph.find_modules_directly_imported_by(module) - {ROOT}:
            imports[part(module)].add(part(imported))
    table = drawn()
    table["redis"].add("redis.api")
    surprising = {
        name: sorted(unknown)
        for name, found in imports.items()
        if name not in ANYTHING and (unknown := found - table.get(name, set()) - BASE - {name})
    }
    assert surprising == {}
