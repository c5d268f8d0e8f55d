"""Colours as authors write them, to colours as the wire carries them. Meaning is the client's; here only the form is checked."""

from __future__ import annotations

import re
from functools import lru_cache

from showground.ui.names import color_tokens, html_colors, nearest

Color = str | list[str]
"""One value for both schemes, or `[light, dark]`."""

_HEX = re.compile(r"#(?:[0-9a-fA-F]{3,4}|[0-9a-fA-F]{6}|[0-9a-fA-F]{8})")
_BARE_HEX = re.compile(r"(?:[0-9a-fA-F]{3,4}|[0-9a-fA-F]{6}|[0-9a-fA-F]{8})")
_FUNCTION = re.compile(r"(rgba?|hsla?)\(([^()]*)\)", re.IGNORECASE)
_PART = re.compile(r"(?:rgba?|hsla?)\([^()]*\)|\S+", re.IGNORECASE)
_NUMBER = r"[+-]?(?:\d+\.?\d*|\.\d+)"
_COMPONENT = re.compile(rf"({_NUMBER})(%|deg|turn|rad)?")


@lru_cache(maxsize=2048)
def parse_color(text: str) -> str | tuple[str, str]:
    """One colour, or `"light dark"`; raises `ValueError` whose text is the remedy.

    `rgb()` becomes hex as in Devvit; everything else stays as it was written, lower case.
    """
    parts = _PART.findall(text)
    if not 1 <= len(parts) <= 2:
        raise ValueError('Write one colour, or two as "light dark".')
    colors = [_one(part) for part in parts]
    return colors[0] if len(colors) == 1 or colors[0] == colors[1] else (colors[0], colors[1])


def _one(part: str) -> str:
    low = part.lower()
    if low in html_colors() or low in color_tokens() or _HEX.fullmatch(low):
        return low
    function = _FUNCTION.fullmatch(low)
    if function is not None:
        return _call(function[1], function[2])
    if _BARE_HEX.fullmatch(low):
        raise ValueError(f'Write "#{low}".')
    hint = nearest(low, [*color_tokens(), *html_colors()])
    raise ValueError(hint or "Write #rrggbb, rgb(…), hsl(…), an HTML colour name or a token like neutral-background.")


def _call(name: str, inner: str) -> str:
    parts = [p for p in re.split(r"[\s,/]+", inner.strip()) if p]
    found = [_COMPONENT.fullmatch(p) for p in parts]
    if len(parts) not in (3, 4) or not all(found):
        raise ValueError(f"{name}() takes three numbers and perhaps an opacity.")
    values = [(float(m[1]), m[2] or "") for m in found if m is not None]
    if name.startswith("hsl"):
        head = ",".join(parts[:3])
        return f"hsla({head},{parts[3]})" if len(parts) == 4 else f"hsl({head})"
    if any(unit not in ("", "%") for _, unit in values):
        raise ValueError(f"{name}() takes numbers from 0 to 255 or percentages.")
    scaled = [_byte(v * 2.55 if unit == "%" else v) for v, unit in values[:3]]
    if len(values) == 4:
        opacity, unit = values[3]
        scaled.append(_byte((opacity / 100 if unit == "%" else opacity) * 255))
    return "#" + "".join(f"{v:02x}" for v in scaled)


def _byte(value: float) -> int:
    return max(0, min(255, round(value)))
