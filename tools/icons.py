"""Builds the icon sprite of the browser client, `static/icons.svg`, from Phosphor's icons.

    npm install --prefix /tmp/icons @phosphor-icons/core@2.1.1
    python tools/icons.py /tmp/icons/node_modules/@phosphor-icons/core

`tools/icons.txt` says which symbol stands for which of Devvit's names. Each name becomes two symbols: the plain one, which
also serves `-outline`, and `-fill`. Equal symbols stand next to each other, so compression makes nearly nothing of repetitions.
"""

from __future__ import annotations

import re
import shutil
import sys
from pathlib import Path

ROOT = Path(__file__).parent.parent
NAMES = ROOT / "runtime/showground/ui/names/icons.txt"
MAPPING = Path(__file__).with_suffix(".txt")
STATIC = ROOT / "runtime/showground/static"

LINES = {
    "at", "brackets-angle", "chart-line-up", "check", "code", "code-simple", "crop", "dots-six-vertical",
    "dots-three", "dots-three-vertical", "funnel-simple", "hash", "infinity", "link", "link-simple", "list",
    "list-bullets", "list-checks", "list-dashes", "list-numbers", "list-plus", "minus", "plus", "pulse", "queue",
    "sort-ascending", "sort-descending", "swap", "text-aa", "text-align-center", "text-align-left",
    "text-align-right", "text-b", "text-italic", "text-strikethrough", "text-superscript", "text-t", "text-t-slash",
    "translate", "x",
}  # fmt: skip
"""Symbols without an inside: Phosphor's filled ones are boxes with the lines cut out; bold lines say `-fill` better."""

_BODY = re.compile(r"<svg[^>]*>(.*)</svg>", re.DOTALL)
_SAFE = re.compile(r'(?:<(?:path|circle|line|rect|polyline|polygon|ellipse|g)(?: [a-z-]+="[^"<>]*")*/?>|</g>)*')


def mapping() -> dict[str, str]:
    """Devvit's name → Phosphor's. Every name is there."""
    lines = (line.split() for line in MAPPING.read_text().splitlines() if line and not line.startswith("#"))
    return {line[0]: line[1] for line in lines}


def sprite(package: Path) -> str:
    """The sprite's text. Raises `SystemExit` that names what is missing."""
    symbols: list[tuple[str, str]] = []
    chosen = mapping()
    missing = set(NAMES.read_text().split()) - chosen.keys()
    if missing:
        raise SystemExit(f"{MAPPING.name} has no symbol for {', '.join(sorted(missing))}")
    for name, symbol in chosen.items():
        symbols.append((_drawing(package / f"assets/regular/{symbol}.svg"), name))
        weight = "bold" if symbol in LINES else "fill"
        symbols.append((_drawing(package / f"assets/{weight}/{symbol}-{weight}.svg"), f"{name}-fill"))
    lines = [f'<symbol id="{name}" viewBox="0 0 256 256">{drawing}</symbol>' for drawing, name in sorted(symbols)]
    head = (
        '<svg xmlns="http://www.w3.org/2000/svg"><!-- Phosphor Icons, MIT; see NOTICE. Written by tools/icons.py. -->'
    )
    return "\n".join([head, *lines, "</svg>\n"])


def _drawing(path: Path) -> str:
    try:
        found = _BODY.search(path.read_text())
    except FileNotFoundError:
        raise SystemExit(f"the package has no {path.name}; choose another symbol in {MAPPING.name}") from None
    drawing = found[1] if found else ""
    if not drawing or not _SAFE.fullmatch(drawing):
        raise SystemExit(f"{path.name} holds more than shapes")
    return drawing


if __name__ == "__main__":
    source = Path(sys.argv[1])
    (STATIC / "icons.svg").write_text(sprite(source))
    shutil.copyfile(source / "LICENSE", STATIC / "NOTICE")
    print(f"icons.svg: {len(mapping()) * 2} symbols")
