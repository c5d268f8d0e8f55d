"""The files of the client: small, complete, and readable on every background that the palette has."""

import gzip
import re
from importlib import resources

import pytest

from showground.ui.names import color_tokens, icons

STATIC = resources.files("showground") / "static"
MODULES = sorted(file.name for file in STATIC.iterdir() if file.name.endswith(".js") and file.name != "embed.js")


def test_all_javascript_together_is_at_most_15_kilobytes_compressed() -> None:
    together = b"".join((STATIC / name).read_bytes() for name in MODULES)
    assert len(gzip.compress(together, 9)) <= 15_000


def test_no_module_parses_markup_or_runs_text() -> None:
    for name in MODULES:
        code = (STATIC / name).read_text()
        assert not re.search(
            r"innerHTML|outerHTML|insertAdjacent|document\.write|\beval\b|new Function|DOMParser", code
        ), name


def test_every_icon_and_every_token_is_there() -> None:
    symbols = set(re.findall(r'id="([a-z0-9-]+)"', (STATIC / "icons.svg").read_text()))
    assert symbols == {name for icon in icons() for name in (icon, f"{icon}-fill")}
    assert set(tokens()) == color_tokens()


@pytest.mark.parametrize("scheme", [0, 1], ids=["light", "dark"])
def test_text_can_be_read_on_what_it_stands_on(scheme: int) -> None:
    colors = {name: pair[scheme] for name, pair in tokens().items()}
    surfaces = ("neutral-background", "neutral-background-weak", "neutral-background-container", "ui-modalbackground")
    inks = (
        "neutral-content", "neutral-content-strong", "neutral-content-weak", "primary-plain", "secondary-plain", "danger-plain",
        "danger-content", "success-plain", "success-content", "caution-plain", "warning-content", "upvote-plain",
        "downvote-plain",
        "ai-plain", "identity-admin", "identity-moderator", "identity-self", "category-nsfw",
    )  # fmt: skip
    pairs = [(ink, surface) for ink in inks for surface in surfaces]
    pairs += [("secondary-plain", "secondary-background"), ("secondary-plain", "secondary-background-hover")]
    pairs += [
        ("white", f"{name}-background{state}")
        for name in ("primary", "danger", "success", "upvote", "downvote")
        for state in ("", "-hover")
    ]
    pairs += [("inverted-neutral-content", "inverted-neutral-background")]
    poor = {pair: round(found, 2) for pair in pairs if (found := contrast(*(colors[name] for name in pair))) < 4.5}
    assert not poor


def tokens() -> dict[str, tuple[str, str]]:
    """Token → its light and its dark value."""
    found = {}
    for name, value in re.findall(r"--sg-([a-z0-9-]+): (.*);", (STATIC / "tokens.css").read_text()):
        both = re.fullmatch(r"light-dark\((.*),(.*)\)", value)
        found[name] = (both[1], both[2]) if both else (value, value)
    return found


def contrast(one: str, other: str) -> float:
    """WCAG 2.2, contrast ratio."""
    lighter, darker = sorted((luminance(one), luminance(other)), reverse=True)
    return (lighter + 0.05) / (darker + 0.05)


def luminance(color: str) -> float:
    digits = color.lstrip("#")
    digits = "".join(digit * 2 for digit in digits) if len(digits) == 3 else digits
    parts = [int(digits[i : i + 2], 16) / 255 for i in (0, 2, 4)]
    red, green, blue = (part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4 for part in parts)
    return 0.2126 * red + 0.7152 * green + 0.0722 * blue
