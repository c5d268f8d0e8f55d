"""Each module stands by itself, and what an app's author imports is light."""

from __future__ import annotations

import json
import pkgutil
import subprocess
import sys
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from graphlib import TopologicalSorter
from pathlib import Path

import grimp
import pytest

ROOT = Path(__file__).parents[2]
SOURCES = [ROOT / "runtime", *sorted((ROOT / "plugins").iterdir())]
HEAVY = frozenset(
    ["aiohttp", "redis", "hiredis", "jsonschema", "jsonschema_rs", "click", "cryptography", "jinja2", "croniter"]
)
IMPORT_ALL = """
import importlib, json, sys
for module in json.load(sys.stdin): importlib.import_module(module)
print(*sys.modules)
"""
IMPORT_EACH = """
import gc, importlib, json, os, sys, traceback, warnings

# One child per module, so that each meets an interpreter in which nothing of ours was imported before it. What others wrote is
# imported here, once: it is not what is tried, and would take most of the time.
modules, others = json.load(sys.stdin)
warnings.simplefilter("ignore")
for other in others:
    try:
        importlib.import_module(other)
    except Exception:
        pass
assert not any(name.startswith("showground") for name in sys.modules)
gc.disable()
failures = {}
for module in modules:
    reading, writing = os.pipe()
    child = os.fork()
    if child == 0:
        os.close(reading)
        try:
            importlib.import_module(module)
        except BaseException:
            os.write(writing, traceback.format_exc().encode()[-4000:])
        os._exit(0)
    os.close(writing)
    with os.fdopen(reading, "rb") as pipe:
        said = pipe.read().decode()
    if os.waitpid(child, 0)[1] or said:
        failures[module] = said or "it ended the interpreter"
print(json.dumps(failures))
"""


def modules() -> Iterator[str]:
    for source in SOURCES:
        for package in sorted(p.parent for p in source.glob("showground*/__init__.py")):
            yield package.name
            for found in pkgutil.walk_packages([str(package)], f"{package.name}."):
                if not found.name.endswith(".__main__") and ".templates" not in found.name:
                    yield found.name


def python(code: str, given: str = "") -> str:
    done = subprocess.run([sys.executable, "-c", code], input=given, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout


def failures(names: Sequence[str], others: Sequence[str]) -> dict[str, str]:
    found: dict[str, str] = json.loads(python(IMPORT_EACH, json.dumps([names, others])))
    return found


def test_each_module_imports_alone() -> None:
    """In any order, so no module leans on what another one happened to import."""
    names = list(modules())
    assert len(names) > 200
    loaded = python(IMPORT_ALL, json.dumps(names)).split()
    others = [name for name in loaded if not name.startswith(("showground", "__m"))]
    with ThreadPoolExecutor() as threads:
        parts = [threads.submit(failures, names[start::2], others) for start in range(2)]
        assert [part.result() for part in parts] == [{}, {}]


def test_no_modules_import_each_other_in_a_circle() -> None:
    """Not within functions or for annotations either: what two modules both need has a place of its own."""
    packages = sorted(p.parent.name for source in SOURCES for p in source.glob("showground*/__init__.py"))
    graph = grimp.build_graph(*packages, cache_dir=None)
    assert {"showground.ui.run", "showground.worker.serving", "showground_scheduler"} <= graph.modules
    imports = {module: graph.find_modules_directly_imported_by(module) for module in graph.modules}
    TopologicalSorter(imports).prepare()  # raises CycleError with the circle


def test_import_showground_loads_nothing_but_itself() -> None:
    code = "import sys; before = set(sys.modules); import showground; print(*set(sys.modules) - before)"
    loaded = python(code).split()
    assert [name for name in loaded if name.startswith("showground")] == ["showground"]
    assert HEAVY & set(loaded) == set()


@pytest.mark.parametrize(
    "line",
    [
        "from showground import Devvit",
        "from showground import Context, Devvit, Event, hookimpl, use_channel, use_state",
        "from showground.blocks import blocks, button, text, vstack",
        "import showground.context.reddit, showground.context.redis, showground.context.scheduler",
    ],
)
def test_what_authors_import_stays_light(line: str) -> None:
    """A worker is forked for each app version; what it imports, it holds."""
    loaded = set(python(f"import sys; {line}; print(*sys.modules)").split())
    assert HEAVY & loaded == set()
