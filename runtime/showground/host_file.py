"""`host.json`: where commands on the same machine find the host, readable by its owner only."""

from __future__ import annotations

import json
import os
from pathlib import Path

NAME = "host.json"


class HostFile:
    def __init__(self, data_dir: Path) -> None:
        self._path = data_dir / NAME
        self._kept = data_dir / "host.token"

    def token(self) -> str | None:
        """The token of an earlier run; it stays good over restarts."""
        try:
            return self._kept.read_text("ascii").strip()
        except OSError:
            return None

    def write(self, url: str, token: str) -> None:
        _private(self._kept, token)
        _private(self._path, json.dumps({"url": url, "token": token, "pid": os.getpid()}))

    def remove(self) -> None:
        """The host has stopped: nobody should look for it here. Another host's file is left alone."""
        try:
            if json.loads(self._path.read_text("utf-8")).get("pid") == os.getpid():
                self._path.unlink()
        except (OSError, ValueError):
            pass


def _private(path: Path, text: str) -> None:
    """Written whole or not at all, and never readable by others, not even for a moment."""
    aside = path.with_name(f".{path.name}.{os.getpid()}")
    descriptor = os.open(aside, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    with os.fdopen(descriptor, "w", encoding="utf-8") as file:
        file.write(text)
    aside.replace(path)
