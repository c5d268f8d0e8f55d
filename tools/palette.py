"""Writes the browser client's colours, `static/tokens.css`: a value for every design-token name that apps may use.

    python tools/palette.py

The names are Devvit's (`runtime/showground/ui/names/tokens.txt`), the values our own: palettes are steps of one hue in OKLCH,
names by purpose have one value for light and one for dark. Text on its background keeps a contrast of 4.5 (WCAG 2.2 AA);
`tests/e2e/client/test_files.py` holds that.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from pathlib import Path

ROOT = Path(__file__).parent.parent
NAMES = ROOT / "runtime/showground/ui/names/tokens.txt"
TARGET = ROOT / "runtime/showground/static/tokens.css"

STEPS: Mapping[str, float] = {
    "25": 0.985, "50": 0.965, "75": 0.94, "100": 0.915, "200": 0.865, "300": 0.80, "400": 0.73, "500": 0.655, "600": 0.575,
    "700": 0.49, "750": 0.44, "800": 0.39, "850": 0.335, "900": 0.28, "950": 0.205,
}  # fmt: skip
"""Lightness (OKLCH, 0 to 1) of each step; steps between two of these lie between them."""

HUES: Mapping[str, tuple[float, float]] = {
    "alienblue": (250, 0.16), "berrypurple": (305, 0.19), "brown": (50, 0.07), "coolgray": (255, 0.014), "kiwigreen": (138, 0.17),
    "lightblue": (228, 0.14), "lime": (125, 0.18), "mintgreen": (166, 0.14), "orangered": (38, 0.205), "periwinkle": (277, 0.16),
    "poopbrown": (78, 0.075), "puregray": (0, 0.0), "red": (25, 0.20), "sakurapink": (355, 0.17), "yellow": (98, 0.165),
    "yelloworange": (72, 0.165),
}  # fmt: skip
"""Palette → hue in degrees, and the chroma of its middle steps."""

LIGHT_PAGE, DARK_PAGE = "#ffffff", "#16181c"

PURPOSES: Mapping[str, str] = {
    # surfaces and what stands on them
    "neutral-background": f"{LIGHT_PAGE} {DARK_PAGE}",
    "neutral-background-hover": "coolgray-50 #1d2025",
    "neutral-background-weak": "coolgray-25 #1c1f24",
    "neutral-background-weak-hover": "coolgray-75 #23272d",
    "neutral-background-medium": "coolgray-75 #23272d",
    "neutral-background-strong": "coolgray-100 #2b3037",
    "neutral-background-strong-hover": "coolgray-200 #353b43",
    "neutral-background-selected": "coolgray-100 #2b3037",
    "neutral-background-pinned": "#ffffff #1d2025",
    "neutral-background-container": "coolgray-50 #202429",
    "neutral-background-container-hover": "coolgray-75 #282d33",
    "neutral-background-container-strong": "coolgray-100 #2b3037",
    "neutral-background-container-strong-hover": "coolgray-200 #353b43",
    "neutral-background-gilded": "yellow-50 #2b2716",
    "neutral-background-gilded-hover": "yellow-75 #36311b",
    "neutral-border": "coolgray-200 #3a4048",
    "neutral-border-weak": "coolgray-100 #2c3138",
    "neutral-border-medium": "coolgray-300 #4a515b",
    "neutral-border-strong": "coolgray-500 #7c8591",
    "neutral-content": "#2a2f36 #d5dae0",
    "neutral-content-strong": "#0f1216 #f3f5f7",
    "neutral-content-weak": "#59616c #9aa3ae",
    "neutral-content-disabled": "coolgray-400 #5d6570",
    "inverted-neutral-background": f"{DARK_PAGE} #f3f5f7",
    "inverted-neutral-background-hover": "#23272d #e3e7eb",
    "inverted-neutral-border": "#3a4048 coolgray-200",
    "inverted-neutral-content": "#d5dae0 #2a2f36",
    "inverted-neutral-content-strong": "#f3f5f7 #0f1216",
    # actions
    "primary": "#b93a05 #ff8b57",
    "primary-hover": "#9c2f02 #ffa47b",
    "primary-visited": "berrypurple-700 berrypurple-300",
    "primary-plain": "#b93a05 #ff8b57",
    "primary-plain-hover": "#9c2f02 #ffa47b",
    "primary-plain-visited": "berrypurple-700 berrypurple-300",
    "primary-background": "#c73e06 #c73e06",
    "primary-background-hover": "#ab3303 #b23605",
    "primary-background-selected": "#8f2a02 #a93505",
    "primary-border": "#c73e06 #ff8b57",
    "primary-border-hover": "#ab3303 #ffa47b",
    "secondary": "#2a2f36 #d5dae0",
    "secondary-hover": "#0f1216 #f3f5f7",
    "secondary-weak": "#59616c #9aa3ae",
    "secondary-plain": "#2a2f36 #d5dae0",
    "secondary-plain-hover": "#0f1216 #f3f5f7",
    "secondary-plain-weak": "#59616c #9aa3ae",
    "secondary-background": "#e8ebee #2d3239",
    "secondary-background-hover": "#dce0e5 #383e46",
    "secondary-background-selected": "#cfd5db #434a53",
    "inverted-secondary-background": "#2d3239 #e8ebee",
    "inverted-secondary-background-hover": "#383e46 #dce0e5",
    "inverted-secondary-background-selected": "#434a53 #cfd5db",
    "inverted-secondary-plain": "#d5dae0 #2a2f36",
    "inverted-secondary-plain-hover": "#f3f5f7 #0f1216",
    "interactive-focused": "#1f6fd6 #7db3ff",
    "interactive-pressed": "#0000001f #ffffff2e",
    "interactive-background-disabled": "#eef0f2 #24282e",
    "interactive-content-disabled": "coolgray-400 #5d6570",
    "inverted-interactive-background-disabled": "#24282e #eef0f2",
    "inverted-interactive-content-disabled": "#5d6570 coolgray-400",
    "inverted-interactive-pressed": "#ffffff2e #0000001f",
    # states
    "danger-background": "#c4232f #c4232f",
    "danger-background-hover": "#a81b26 #d5343f",
    "danger-background-weaker": "red-50 #351a1c",
    "danger-background-disabled": "red-100 #3b2022",
    "danger-content": "#b3202b #ff8a8a",
    "danger-content-default": "#b3202b #ff8a8a",
    "danger-content-hover": "#921822 #ffa7a7",
    "danger-plain": "#b3202b #ff8a8a",
    "danger-plain-hover": "#921822 #ffa7a7",
    "caution-background": "#f0b429 #f0b429",
    "caution-background-hover": "#e0a215 #f6c453",
    "caution-plain": "#805500 #f0b429",
    "caution-plain-hover": "#664400 #f6c453",
    "warning-background": "#f5d04c #f5d04c",
    "warning-background-hover": "#e9c02f #f9dc72",
    "warning-content": "#7a5c00 #f5d04c",
    "warning-content-hover": "#5f4700 #f9dc72",
    "alert-caution": "#f0b429 #f0b429",
    "success-background": "#187a4b #187a4b",
    "success-background-hover": "#12653d #146b41",
    "success-content": "#12653d #5fd39a",
    "success-hover": "#0e5131 #86e0b4",
    "success-plain": "#157046 #5fd39a",
    "success-plain-hover": "#0e5131 #86e0b4",
    "brand-background": "#d93a00 #d93a00",
    "brand-background-hover": "#bd3200 #e64a12",
    "ai-background-weaker": "periwinkle-50 #1f2036",
    "ai-plain": "periwinkle-700 periwinkle-300",
    "ai-plain-hover": "periwinkle-800 periwinkle-200",
    # votes
    "action-upvote": "#d93a00 #ff7a45",
    "action-downvote": "#5a63d8 #9aa2ff",
    "upvote-plain": "#c23a06 #ff8b57",
    "upvote-plain-weaker": "orangered-300 orangered-700",
    "upvote-plain-disabled": "orangered-200 orangered-800",
    "upvote-disabled": "orangered-200 orangered-800",
    "upvote-background": "#c73e06 #c73e06",
    "upvote-background-hover": "#ab3303 #b23605",
    "upvote-background-disabled": "orangered-200 orangered-900",
    "upvote-content": "#ffffff #ffffff",
    "upvote-content-weak": "#ffe2d5 #ffe2d5",
    "downvote-plain": "#5159c8 #9aa2ff",
    "downvote-plain-weaker": "periwinkle-300 periwinkle-700",
    "downvote-plain-disabled": "periwinkle-200 periwinkle-800",
    "downvote-disabled": "periwinkle-200 periwinkle-800",
    "downvote-background": "#565ed2 #565ed2",
    "downvote-background-hover": "#474fb9 #4a52c0",
    "downvote-background-disabled": "periwinkle-200 periwinkle-900",
    "downvote-content": "#ffffff #ffffff",
    "downvote-content-weak": "#e3e5ff #e3e5ff",
    # on pictures
    "media-background": "#000000a8 #000000a8",
    "media-background-hover": "#000000c9 #000000c9",
    "media-background-selected": "#000000e0 #000000e0",
    "media-border-selected": "#ffffff #ffffff",
    "media-border-weak": "#ffffff40 #ffffff40",
    "media-onbackground": "#ffffff #ffffff",
    "media-onbackground-weak": "#ffffffcc #ffffffcc",
    "media-onbackground-disabled": "#ffffff66 #ffffff66",
    "scrim": "#00000080 #000000a6",
    "scrim-strong": "#000000b3 #000000cc",
    "scrim-background": "#00000080 #000000a6",
    "scrim-background-strong": "#000000b3 #000000cc",
    "scrim-gradient": "linear-gradient(#0000,#000000b3)",
    "gradient-media": "linear-gradient(#0000,#00000080)",
    "gradient-media-strong": "linear-gradient(#0000,#000000cc)",
    "avatar-gradient": "linear-gradient(#ffb199,#ff6a3d)",
    "brand-gradient-default": "linear-gradient(90deg,#c73e06,#a8206b)",
    "brand-gradient-hover": "linear-gradient(90deg,#ab3303,#8e1959)",
    "brand-gradient-active": "linear-gradient(90deg,#8f2a02,#761348)",
    "brand-gradient-default-highlight": "linear-gradient(90deg,#ff8b57,#f062a8)",
    "brand-gradient-hover-highlight": "linear-gradient(90deg,#ff7a45,#e94c99)",
    "brand-gradient-active-highlight": "linear-gradient(90deg,#f26a33,#d93a87)",
    # who and what
    "category-live": "#c4232f #ff8a8a",
    "category-nsfw": "#b8206b #ff8fc4",
    "category-spoiler": "#59616c #9aa3ae",
    "favorite": "#8a6100 #f5c542",
    "online": "#187a4b #5fd39a",
    "offline": "#69727d #8a939e",
    "identity-admin": "#c4232f #ff8a8a",
    "identity-coins": "#8a6100 #f5c542",
    "identity-moderator": "#157046 #5fd39a",
    "identity-self": "#1f62c4 #7db3ff",
    "global-admin": "#c4232f #ff8a8a",
    "global-alienblue": "#1f62c4 #7db3ff",
    "global-black": "#000000 #000000",
    "global-white": "#ffffff #ffffff",
    "global-brand-orangered": "#d93a00 #ff6a33",
    "global-orangered": "#d93a00 #ff6a33",
    "global-darkblue": "#123b7a #123b7a",
    "global-focus": "#1f6fd6 #7db3ff",
    "global-gold": "#8a6100 #f5c542",
    "global-moderator": "#157046 #5fd39a",
    "global-nsfw": "#b8206b #ff8fc4",
    "global-offline": "#69727d #8a939e",
    "global-online": "#187a4b #5fd39a",
    "global-stars": "#8a6100 #f5c542",
    # depth
    "elevation-xsmall": "#0f12161a #00000066",
    "elevation-small": "#0f121621 #00000073",
    "elevation-medium1": "#0f121626 #00000080",
    "elevation-medium2": "#0f12162e #0000008c",
    "elevation-large1": "#0f121633 #00000099",
    "elevation-large2": "#0f12163d #000000a6",
    "opacity-08": "#00000014 #ffffff14",
    "opacity-50": "#00000080 #ffffff80",
    "opacity-highlight": "#ffffff66 #ffffff26",
    "transparent": "transparent",
    "transparent-background-hover": "#0000000f #ffffff14",
    # shades from text to page
    "tone-1": "#0f1216 #f3f5f7",
    "tone-2": "#59616c #9aa3ae",
    "tone-3": "coolgray-400 #6b747f",
    "tone-4": "coolgray-200 #4a515b",
    "tone-5": "coolgray-100 #353b43",
    "tone-6": "coolgray-50 #23272d",
    "tone-7": f"{LIGHT_PAGE} {DARK_PAGE}",
    "ui-canvas": "#f4f5f7 #0e1013",
    "ui-modalbackground": "#ffffff #202429",
}  # fmt: skip
"""Name → "light dark": hex colours or palette steps; or one CSS value for both."""


def palette(name: str, step: str) -> str:
    """`#rrggbb` of a step of a palette."""
    hue, most = HUES[name]
    lightness = STEPS.get(step) or _between(int(step))
    # the lightest and darkest steps hold less colour, as sRGB does
    chroma = most * min(1.0, 2.6 * (1 - lightness) + 0.04, 1.9 * lightness)
    while True:
        linear = _linear_srgb(lightness, chroma, math.radians(hue))
        if all(-0.0005 <= value <= 1.0005 for value in linear) or chroma <= 0:
            return "#" + "".join(f"{_encoded(value):02x}" for value in linear)
        chroma -= 0.002


def _between(step: int) -> float:
    below = max(int(s) for s in STEPS if int(s) < step)
    above = min(int(s) for s in STEPS if int(s) > step)
    share = (step - below) / (above - below)
    return STEPS[str(below)] * (1 - share) + STEPS[str(above)] * share


def _linear_srgb(lightness: float, chroma: float, hue: float) -> tuple[float, float, float]:
    """OKLCH to linear sRGB (https://bottosson.github.io/posts/oklab/)."""
    a, b = chroma * math.cos(hue), chroma * math.sin(hue)
    long = (lightness + 0.3963377774 * a + 0.2158037573 * b) ** 3
    medium = (lightness - 0.1055613458 * a - 0.0638541728 * b) ** 3
    short = (lightness - 0.0894841775 * a - 1.2914855480 * b) ** 3
    return (
        4.0767416621 * long - 3.3077115913 * medium + 0.2309699292 * short,
        -1.2684380046 * long + 2.6097574011 * medium - 0.3413193965 * short,
        -0.0041960863 * long - 0.7034186147 * medium + 1.7076147010 * short,
    )


def _encoded(linear: float) -> int:
    linear = min(1.0, max(0.0, linear))
    value = 12.92 * linear if linear <= 0.0031308 else 1.055 * linear ** (1 / 2.4) - 0.055
    return round(value * 255)


def value(token: str) -> str:
    """The CSS value of a token. Raises `KeyError` for a name that nothing was chosen for."""
    if token in PURPOSES:
        parts = PURPOSES[token].split(" ") if "(" not in PURPOSES[token] else [PURPOSES[token]]
        found = [part if part[0] in "#tl" and not _is_step(part) else palette(*part.rsplit("-", 1)) for part in parts]
        return found[0] if len(set(found)) == 1 else f"light-dark({found[0]},{found[1]})"
    if token in ("black", "white"):
        return {"black": "#000", "white": "#fff"}[token]
    if token.startswith(("black-opacity-", "white-opacity-")):
        shade, percent = token.split("-opacity-")
        return f"rgb({'0 0 0' if shade == 'black' else '255 255 255'}/{percent}%)"
    return palette(*token.rsplit("-", 1))


def _is_step(part: str) -> bool:
    return part.rsplit("-", 1)[0] in HUES


def stylesheet() -> str:
    lines = [f"  --sg-{token}: {value(token)};" for token in sorted(NAMES.read_text().split())]
    return "/* Written by tools/palette.py; change it there. */\n:root {\n" + "\n".join(lines) + "\n}\n"


if __name__ == "__main__":
    TARGET.write_text(stylesheet())
    print(f"{TARGET.relative_to(ROOT)}: {len(NAMES.read_text().split())} tokens")
