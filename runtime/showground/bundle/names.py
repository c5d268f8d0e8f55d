"""What a file of a bundle may be called: relative, plain, and possible on every system, a disk that ignores case included."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Sequence
from dataclasses import dataclass

from showground.errors import Problem

_RESERVED = re.compile(r"(con|prn|aux|nul|com[0-9]|lpt[0-9])(\..*)?", re.IGNORECASE)
"""Names of devices on Windows."""


@dataclass(frozen=True, slots=True)
class ArchiveLimits:
    archive_bytes: int = 50 * 1024 * 1024
    total_bytes: int = 100 * 1024 * 1024
    """Of all files, unpacked."""
    file_bytes: int = 40 * 1024 * 1024
    """Devvit's largest asset, a GIF, is 40 MB."""
    files: int = 2000
    ratio: int = 200
    """Unpacked to packed, of any one entry of more than 64 KB; DEFLATE cannot exceed 1032."""
    path_bytes: int = 255
    depth: int = 16


DEFAULT_LIMITS = ArchiveLimits()


def name_problems(names: Sequence[str], limits: ArchiveLimits = DEFAULT_LIMITS) -> list[Problem]:
    """What is wrong with these paths: each by itself, and all of them together on a disk that ignores case."""
    problems: list[Problem] = []
    folded: dict[str, str] = {}
    for name in names:
        fault = _name_fault(name, limits)
        if fault:
            problems.append(Problem(printable(name), *fault))
            continue
        parts = name.split("/")
        for depth in range(1, len(parts) + 1):
            path = "/".join(parts[:depth])
            key = unicodedata.normalize("NFC", path).casefold()
            entry = path if depth == len(parts) else f"{path}/"
            other = folded.setdefault(key, entry)
            if other != entry or (depth == len(parts) and _seen_twice(folded, key, entry)):
                problems.append(
                    Problem(
                        name, f"it clashes with {other}", "Names must differ by more than case or accents' spelling."
                    )
                )
                break
    if len(names) > limits.files:
        problems.append(Problem("", f"the bundle has {len(names)} files", f"The limit is {limits.files}."))
    return problems


def _seen_twice(folded: dict[str, str], key: str, entry: str) -> bool:
    mark = f"\0{key}"
    if mark in folded:
        return True
    folded[mark] = entry
    return False


def _name_fault(name: str, limits: ArchiveLimits) -> tuple[str, str] | None:
    parts = name.split("/")
    try:
        size = len(name.encode())
    except UnicodeEncodeError:
        return "its name is not valid Unicode", "Rename it."
    if any(ord(c) < 32 or ord(c) == 127 or unicodedata.category(c) in ("Cf", "Cs", "Co", "Cn") for c in name):
        return "its name has control or invisible characters", "Rename it."
    if "\\" in name or ":" in name:
        return "its name has a backslash or a colon", "Use / between folders, and no drive letters."
    if name.startswith("/") or ".." in parts or "." in parts or "" in parts:
        return "its path leads out of the bundle or is not plain", "Use a relative path without . and .."
    if size > limits.path_bytes or len(parts) > limits.depth:
        return "its path is too long", f"At most {limits.path_bytes} bytes and {limits.depth} levels."
    if any(p.endswith((" ", ".")) or _RESERVED.fullmatch(p) or set('<>"|?*') & set(p) for p in parts):
        return "its name cannot exist on every system", "Rename it."
    return None


def printable(name: str) -> str:
    """*name* as it can be shown: what does not print is escaped."""
    return name.encode("unicode_escape").decode() if not name.isprintable() else name
