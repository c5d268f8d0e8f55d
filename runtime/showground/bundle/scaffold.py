"""`showground new`: a small app that works, with a test that passes."""

from __future__ import annotations

import shutil
import tempfile
from importlib import resources
from importlib.resources.abc import Traversable
from pathlib import Path

from showground.errors import ShowgroundError
from showground.keys import APP_NAME

MARK = "__name__"
"""Stands for the app's name in the template's files."""


def scaffold(name: str, parent: Path) -> Path:
    """Write a new app called *name* into a folder of *parent*, and return that folder (`my-app` is made in `my_app`).

    The folder appears whole or not at all. Errors: `invalid` (no app name), `conflict` (there is something in the folder).
    """
    if not APP_NAME.fullmatch(name):
        raise ShowgroundError(
            "invalid", f"{name!r} is not an app name", "name", "Use 2 to 32 of a-z, 0-9 and -, starting with a letter."
        )
    folder = parent / name.replace("-", "_")
    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise ShowgroundError(
            "conflict", f"{folder} exists and is not empty", "folder", "Choose another name or place."
        )
    folder.parent.mkdir(parents=True, exist_ok=True)
    staging = Path(tempfile.mkdtemp(prefix=".new-app-", dir=folder.parent))
    try:
        staging.chmod(0o755)
        _copy(resources.files("showground.bundle").joinpath("templates/app"), staging, name)
        staging.rename(folder)  # replaces an empty folder
    except BaseException:
        shutil.rmtree(staging, ignore_errors=True)
        raise
    return folder


def _copy(source: Traversable, target: Path, name: str) -> None:
    for item in source.iterdir():
        if item.name == "__pycache__":
            continue
        if item.is_dir():
            (target / item.name).mkdir()
            _copy(item, target / item.name, name)
        else:
            (target / item.name).write_text(item.read_text("utf-8").replace(MARK, name), "utf-8")
