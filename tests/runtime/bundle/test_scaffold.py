"""`showground new` gives an app that passes its check and its own test."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from showground.bundle.check import check_folder
from showground.bundle.scaffold import create_app
from showground.errors import ShowgroundError


def test_a_new_app_passes_its_check_and_its_test(tmp_path: Path) -> None:
    folder = tmp_path / "my_app"
    assert create_app("my-app", folder) == ["README.md", "app.json", "main.py", "tests/test_app.py"]
    assert check_folder(folder) == []
    run = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-p", "no:randomly", "-p", "no:cacheprovider"],
        cwd=folder,
        capture_output=True,
        text=True,
    )
    assert "1 passed" in run.stdout, run.stdout + run.stderr


def test_nothing_is_overwritten(tmp_path: Path) -> None:
    (tmp_path / "mine.txt").write_text("mine")
    with pytest.raises(ShowgroundError, match="not empty"):
        create_app("my-app", tmp_path)
    assert [p.name for p in tmp_path.iterdir()] == ["mine.txt"]
    with pytest.raises(ShowgroundError, match="not an app name"):
        create_app("My App", tmp_path / "x")
    (tmp_path / "empty").mkdir()
    assert create_app("my-app", tmp_path / "empty")
