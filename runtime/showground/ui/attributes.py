"""Which attribute each block takes, what values it may have, and what is left out on the wire because it is the default.

The tables follow Devvit 0.11.19 (names in snake_case). A wrong attribute or value is an error with a remedy; Devvit ignores most.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from functools import lru_cache
from typing import Any

from showground.errors import ShowgroundError
from showground.ui.colors import parse_color
from showground.ui.faults import fault
from showground.ui.names import icons, is_icon, nearest

Check = Callable[[Any], Any]
"""Value as written to value on the wire, or `OMIT`. Raises `ValueError` whose text is the remedy."""

OMIT = object()
"""The value is the default: it does not travel."""

_SIZE = re.compile(r"(\d+(?:\.\d+)?)(px|%)?")
_CAPITAL = re.compile(r"(?<!^)(?=[A-Z])")
_VERTICAL = ("top", "middle", "bottom")
_HORIZONTAL = ("start", "center", "end")


def _choice(*values: str, default: str | None = None) -> Check:
    def check(value: Any) -> Any:
        if value == default and default is not None:
            return OMIT
        if value not in values:
            hint = nearest(value, values) if isinstance(value, str) else ""
            raise ValueError(hint or f"It is one of {', '.join(values)}.")
        return value

    return check


def _flag(default: bool = False) -> Check:
    def check(value: Any) -> Any:
        if not isinstance(value, bool):
            raise ValueError("It is True or False.")
        return OMIT if value is default else value

    return check


def _size(value: Any) -> Any:
    """A number is percent, as is a string without a unit."""
    if isinstance(value, int | float) and not isinstance(value, bool) and 0 <= value < 100_000:
        return f"{value:g}%"
    match = _SIZE.fullmatch(value) if isinstance(value, str) else None
    if match is None:
        raise ValueError('Write a number of percent, "50%" or "120px".')
    return f"{float(match[1]):g}{match[2] or '%'}"


def _pixels(value: Any) -> Any:
    if isinstance(value, bool) or not isinstance(value, int | float | str):
        raise ValueError("Write a number of pixels.")
    match = _SIZE.fullmatch(value) if isinstance(value, str) else None
    if isinstance(value, str) and (match is None or match[2] == "%"):
        raise ValueError('Write a number of pixels, such as 240 or "240px".')
    number = float(match[1]) if match is not None else float(value)
    if not 0 < number <= 16384:
        raise ValueError("Write a number of pixels from 1 to 16384.")
    return int(number) if number == int(number) else number


def _color(value: Any) -> Any:
    if not isinstance(value, str):
        raise ValueError('Write a colour such as "#ff4500", "red" or "neutral-background".')
    parsed = parse_color(value)
    return parsed if isinstance(parsed, str) else list(parsed)


def _alignment(value: Any) -> Any:
    words = value.split() if isinstance(value, str) else []
    vertical = [w for w in words if w in _VERTICAL]
    horizontal = [w for w in words if w in _HORIZONTAL]
    if not words or len(words) != len(vertical) + len(horizontal) or max(len(vertical), len(horizontal)) > 1:
        raise ValueError("It is top, middle or bottom and/or start, center or end, such as 'middle center'.")
    return " ".join((*vertical, *horizontal))


def _icon(value: Any) -> Any:
    if not isinstance(value, str) or not is_icon(value):
        hint = nearest(str(value), icons())
        raise ValueError(hint or "The names are listed in docs/blocks.md, each also with -fill or -outline.")
    return value


def _words(value: Any) -> Any:
    if not isinstance(value, str) or len(value) > 2000:
        raise ValueError("It is a string of at most 2000 characters.")
    return value if value else OMIT


def _image_url(value: Any) -> Any:
    """https, an inline image, or the name of an asset of the bundle (which the client asks the host for)."""
    if not isinstance(value, str) or not value or len(value) > 64 * 1024:
        raise ValueError("It is an asset's name, an https: address or a data:image/ URI, at most 64 kB.")
    if ":" in value.split("/", 1)[0] and not value.startswith(("https://", "data:image/")):
        raise ValueError("Only https: and data:image/ are shown.")
    return value


def _page_url(value: Any) -> Any:
    if not isinstance(value, str) or not value or ":" in value or value.startswith("/") or ".." in value.split("/"):
        raise ValueError("It is the name of a page in the bundle's assets, such as 'index.html'.")
    return value


_COMMON: Mapping[str, Check] = {
    "width": _size,
    "height": _size,
    "min_width": _size,
    "min_height": _size,
    "max_width": _size,
    "max_height": _size,
    "grow": _flag(),
    "label": _words,
}
_BORDER = _choice("none", "thin", "thick", default="none")


def _with_schemes(name: str) -> dict[str, Check]:
    return {name: _color, f"light_{name}": _color, f"dark_{name}": _color}


_STACK: Mapping[str, Check] = {
    **_COMMON,
    "alignment": _alignment,
    "gap": _choice("none", "small", "medium", "large", default="none"),
    "padding": _choice("none", "xsmall", "small", "medium", "large", default="none"),
    "border": _BORDER,
    **_with_schemes("border_color"),
    "corner_radius": _choice("none", "small", "medium", "large", "full", default="none"),
    **_with_schemes("background_color"),
    "reverse": _flag(),
}

ATTRIBUTES: Mapping[str, Mapping[str, Check]] = {
    "blocks": {"height": _choice("regular", "tall", default="regular")},
    "hstack": _STACK,
    "vstack": _STACK,
    "zstack": _STACK,
    "text": {
        **_COMMON,
        "size": _choice("xsmall", "small", "medium", "large", "xlarge", "xxlarge", default="medium"),
        "weight": _choice("regular", "bold", default="regular"),
        "style": _choice("body", "metadata", "heading", default="body"),
        **_with_schemes("color"),
        "alignment": _alignment,
        "outline": _choice("none", "thin", "thick", default="none"),
        "selectable": _flag(default=True),
        "wrap": _flag(),
        "overflow": _choice("clip", "ellipsis", default="ellipsis"),
    },
    "button": {
        **_COMMON,
        "icon": _icon,
        "size": _choice("small", "medium", "large", default="medium"),
        "appearance": _choice(
            "secondary",
            "primary",
            "plain",
            "bordered",
            "media",
            "destructive",
            "caution",
            "success",
            default="secondary",
        ),
        **_with_schemes("text_color"),
        "disabled": _flag(),
    },
    "image": {
        **_COMMON,
        "url": _image_url,
        "image_width": _pixels,
        "image_height": _pixels,
        "description": _words,
        "resize_mode": _choice("none", "fit", "fill", "cover", "scale-down", default="fit"),
    },
    "spacer": {
        **_COMMON,
        "size": _choice("xsmall", "small", "medium", "large", default="small"),
        "shape": _choice("invisible", "thin", "square", default="invisible"),
    },
    "icon": {
        **_COMMON,
        "name": _icon,
        **_with_schemes("color"),
        "size": _choice("xsmall", "small", "medium", "large", default="medium"),
    },
    "avatar": {
        **_COMMON,
        "thing_id": _words,
        "size": _choice(
            "xxsmall", "xsmall", "small", "medium", "large", "xlarge", "xxlarge", "xxxlarge", default="small"
        ),
        "facing": _choice("left", "right", default="left"),
        "background": _choice("light", "dark", default="light"),
    },
    "webview": {**_COMMON, "url": _page_url},
}
REQUIRED: Mapping[str, tuple[str, ...]] = {
    "image": ("url", "image_width", "image_height"),
    "icon": ("name",),
    "avatar": ("thing_id",),
    "webview": ("url",),
}
_SCHEMED = ("border_color", "background_color", "color", "text_color")


@lru_cache(maxsize=8192, typed=True)
def wire_attributes(block: str, names: tuple[str, ...], *values: Any) -> dict[str, Any]:
    """The checked attributes of one block for the wire. The dict is shared between equal blocks: nobody changes it.

    Raises `app_error` at the app's line.
    """
    known = ATTRIBUTES[block]
    found: dict[str, Any] = {}
    for name, value in zip(names, values, strict=True):
        if value is None:
            continue
        check = known.get(name)
        if check is None:
            raise _unknown(block, name, known)
        try:
            checked = check(value)
        except ValueError as error:
            raise fault(f"{block}({name}={value!r}): this value is not allowed", str(error)) from None
        if checked is not OMIT:
            found[name] = checked
    for name in REQUIRED.get(block, ()):
        if name not in found:
            raise fault(f"{block}() lacks {name}", f"Write {block}({name}=…).")
    for name in _SCHEMED:
        if f"light_{name}" in found or f"dark_{name}" in found:
            _merge_schemes(found, name)
    if "border_color" in found and "border" not in found and "border" not in names:
        found["border"] = "thin"  # Devvit: a colour alone means a thin border
    return found


def _merge_schemes(found: dict[str, Any], name: str) -> None:
    base = found.get(name)
    light, dark = (base, base) if not isinstance(base, list) else (base[0], base[1])
    light = found.pop(f"light_{name}", None) or light
    dark = found.pop(f"dark_{name}", None) or dark
    light, dark = light or dark, dark or light
    light = light[0] if isinstance(light, list) else light
    dark = dark[1] if isinstance(dark, list) else dark
    found[name] = light if light == dark else [light, dark]


def _unknown(block: str, name: str, known: Mapping[str, Check]) -> ShowgroundError:
    names = [*known, "key", "id"]
    if block not in ("blocks", "spacer", "webview"):
        names += ["on_press", "data"]
    snake = _CAPITAL.sub("_", name).lower()
    remedy = f"Write {snake}." if snake in names else nearest(snake, names) or f"It takes {', '.join(names)}."
    return fault(f"{block}() has no attribute {name!r}", remedy)
