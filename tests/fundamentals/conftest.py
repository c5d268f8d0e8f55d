"""The tutorial's one tool: `bundle(name, code)` writes an app into a folder. `playground` is Showground's own fixture: a real
host with real workers on a real Redis."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from showground.testing.bundles import write_bundle

Bundle = Callable[..., Path]


@pytest.fixture
def bundle(tmp_path_factory: pytest.TempPathFactory) -> Bundle:
    """`bundle("counter", code, version="1.0.0", permissions={…})`: a folder with `main.py` and `app.json`."""

    def write(name: str, code: str, version: str = "1.0.0", **manifest: Any) -> Path:
        return write_bundle(tmp_path_factory.mktemp(name), code, name=name, version=version, **manifest)

    return write
