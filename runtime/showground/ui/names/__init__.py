"""The names that authors may use: icons, colour tokens and HTML colours. Drawing them is the client's business.

The lists are data files of words. Icons and tokens are those that Devvit 0.11.19 accepts, HTML colours those of CSS Color 4.
"""

from __future__ import annotations

import difflib
from collections.abc import Iterable
from functools import cache
from importlib.resources import files

ICON_SUFFIXES = ("-fill", "-outline")


@cache
def _words(file: str) -> frozenset[str]:
    return frozenset(files(__name__).joinpath(file).read_text(encoding="ascii").split())


def icons() -> frozenset[str]:
    """The 392 bare icon names; each may also be written with `-fill` or `-outline`."""
    return _words("icons.txt")


def color_tokens() -> frozenset[str]:
    """Palette names (`orangered-500`) and semantic names (`neutral-background`)."""
    return _words("tokens.txt")


def html_colors() -> frozenset[str]:
    """The CSS colour keywords, and `transparent`."""
    return _words("colors.txt")


def is_icon(name: str) -> bool:
    known = icons()
    return name in known or any(name.endswith(s) and name.removesuffix(s) in known for s in ICON_SUFFIXES)


def nearest(name: str, known: Iterable[str]) -> str:
    """`Did you mean "a" or "b"?`, or empty when nothing is near."""
    found = difflib.get_close_matches(name, known, 3, 0.6)
    if not found:
        return ""
    return f"Did you mean {' or '.join(repr(f) for f in found)}?"
