"""Bundles from the text of a test."""

from __future__ import annotations

import json
from pathlib import Path
from textwrap import dedent
from typing import Any


def write_bundle(folder: Path, code: str, **manifest: Any) -> Path:
    """Write `main.py` of *code* and `app.json` of *manifest* into *folder*, which is made where it is missing; returns it.

    The code may be indented, as it stands in a test. Without more words the app is called like its folder, in version 1.0.0.
    """
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "main.py").write_text(dedent(code), "utf-8")
    (folder / "app.json").write_text(json.dumps({"name": folder.name, "version": "1.0.0", **manifest}), "utf-8")
    return folder
