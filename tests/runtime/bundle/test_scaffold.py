"""`showground new` gives an app that passes its check and its own test."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from showground.bundle.check import check_folder
from showground.bundle.scaffold import scaffold
from showground.errors import ShowgroundError


def test_a_new_app_passes_its_check_and_its_test(tmp_path: Path) -> None:
    folder = scaffold("my-app", tmp_path)
    assert folder == tmp_path / "my_app"
    assert check_folder(folder) == []
    run = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-p", "no:randomly", "-p", "no:cacheprovider"],
        cwd=folder,
        capture_output=True,
        text=True,
    )
    assert "1 passed" in run.stdout, run.stdout + run.stderr


def test_nothing_is_overwritten(tmp_path: Path) -> None:
    (tmp_path / "my_app").mkdir()
    (tmp_path / "my_app/mine.txt").write_text("mine")
    with pytest.raises(ShowgroundError, match="not empty"):
        scaffold("my-app", tmp_path)
    with pytest.raises(ShowgroundError, match="not an app name"):
        scaffold("My App", tmp_path)
    assert [p.name for p in tmp_path.rglob("*")] == ["my_app", "mine.txt"]
    (tmp_path / "other").mkdir()
    assert (scaffold("other", tmp_path) / "app.json").is_file()
