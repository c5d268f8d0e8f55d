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


def create_app(name: str, folder: Path) -> list[str]:
    """Write a new app called *name* into *folder*, which must be new or empty. Returns the files, as relative paths.

    The folder appears whole or not at all. Errors: `invalid` (no app name), `conflict` (there is something in the folder).
    """
    if not APP_NAME.fullmatch(name):
        raise ShowgroundError(
            "invalid", f"{name!r} is not an app name", "name", "Use 2 to 32 of a-z, 0-9 and -, starting with a letter."
        )
    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise ShowgroundError("conflict", f"{folder} exists and is not empty", "folder", "Name another folder.")
    folder.parent.mkdir(parents=True, exist_ok=True)
    staging = Path(tempfile.mkdtemp(prefix=".new-app-", dir=folder.parent))
    try:
        staging.chmod(0o755)
        written = sorted(_copy(resources.files("showground.bundle").joinpath("templates/app"), staging, "", name))
        staging.rename(folder)  # replaces an empty folder
    except BaseException:
        shutil.rmtree(staging, ignore_errors=True)
        raise
    return written


def _copy(source: Traversable, target: Path, prefix: str, name: str) -> list[str]:
    written: list[str] = []
    for item in source.iterdir():
        if item.name == "__pycache__":
            continue
        if item.is_dir():
            (target / item.name).mkdir()
            written += _copy(item, target / item.name, f"{prefix}{item.name}/", name)
        else:
            (target / item.name).write_text(item.read_text("utf-8").replace(MARK, name), "utf-8")
            written.append(prefix + item.name)
    return written
