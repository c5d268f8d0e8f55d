"""The tutorial's one tool: `bundle(name, code)` writes an app into a folder. `playground` is Showground's own fixture: a real
host with real workers on a real Redis."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from textwrap import dedent
from typing import Any

import pytest

Bundle = Callable[..., Path]


@pytest.fixture
def bundle(tmp_path_factory: pytest.TempPathFactory) -> Bundle:
    """`bundle("counter", code, version="1.0.0", permissions={…})`: a folder with `main.py` and `app.json`."""

    def write(name: str, code: str, version: str = "1.0.0", **manifest: Any) -> Path:
        folder = tmp_path_factory.mktemp(name)
        (folder / "main.py").write_text(dedent(code))
        (folder / "app.json").write_text(json.dumps({"name": name, "version": version, **manifest}))
        return folder

    return write
