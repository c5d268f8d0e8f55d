"""The examples of docs/testing-apps.md are tests that pass."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest

from showground.bundle.scaffold import scaffold
from showground.testing.playground import Playground

ROOT = Path(__file__).parents[2]
BLOCKS = re.findall(r"```python\n(.*?)```", (ROOT / "docs" / "testing-apps.md").read_text("utf-8"), re.DOTALL)
TESTS = {match[1]: block for block in BLOCKS if (match := re.search(r"async def (test_\w+)", block))}
APPS = {
    "test_a_new_post_is_greeted": None,
    "test_a_pixel_is_seen_by_everybody": ROOT / "apps" / "mini_place",
    "test_a_reminder_comes_when_it_is_due": ROOT / "apps" / "reminder",
}


def test_every_example_is_tried() -> None:
    assert TESTS.keys() == APPS.keys()


@pytest.mark.parametrize("name", APPS)
async def test_an_example_passes(playground: Playground, tmp_path: Path, name: str) -> None:
    playground.folder = APPS[name] or scaffold("my-app", tmp_path)
    told: dict[str, Any] = {}
    exec(compile(f"from __future__ import annotations\n{TESTS[name]}", name, "exec"), told)
    await told[name](playground)
