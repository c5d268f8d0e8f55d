"""The blocks that posts are made of: `from showground.blocks import blocks, vstack, text, button`.

Each function takes its children first and its attributes by keyword, and returns an element; `docs/blocks.md` shows all of them.
A wrong attribute or value raises `ShowgroundError` that names the block, the app's line and the remedy.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Literal, TypedDict, Unpack

from showground.ui import elements
from showground.ui.elements import Child, Component, Element, Key, component

__all__ = [
    "Child",
    "Component",
    "Element",
    "Press",
    "avatar",
    "blocks",
    "button",
    "component",
    "hstack",
    "icon",
    "image",
    "spacer",
    "text",
    "vstack",
    "webview",
    "zstack",
]

Size = float | str
"""Percent as a number or `"50%"`, or pixels as `"120px"`."""
Press = Callable[..., Any]
"""`fn()` or `fn(data)`, plain or `async`. It gets the block's `data` when the block has one, or when it must have an argument."""


class Common(TypedDict, total=False):
    """Attributes of every block but `blocks`."""

    width: Size | None
    height: Size | None
    min_width: Size | None
    min_height: Size | None
    max_width: Size | None
    max_height: Size | None
    grow: bool | None
    label: str | None
    """What a screen reader says; needed where a pressable block shows no text."""
    key: Key | None
    id: str | None


class Pressable(Common, total=False):
    on_press: Press | None
    data: Any
    """JSON that `on_press` gets as its argument."""


class StackAttributes(Pressable, total=False):
    alignment: str | None
    """`top`, `middle` or `bottom` and/or `start`, `center` or `end`, in any order."""
    gap: Literal["none", "small", "medium", "large"] | None
    padding: Literal["none", "xsmall", "small", "medium", "large"] | None
    border: Literal["none", "thin", "thick"] | None
    border_color: str | None
    light_border_color: str | None
    dark_border_color: str | None
    corner_radius: Literal["none", "small", "medium", "large", "full"] | None
    background_color: str | None
    light_background_color: str | None
    dark_background_color: str | None
    reverse: bool | None


class TextAttributes(Pressable, total=False):
    size: Literal["xsmall", "small", "medium", "large", "xlarge", "xxlarge"] | None
    weight: Literal["regular", "bold"] | None
    style: Literal["body", "metadata", "heading"] | None
    color: str | None
    light_color: str | None
    dark_color: str | None
    alignment: str | None
    outline: Literal["none", "thin", "thick"] | None
    selectable: bool | None
    wrap: bool | None
    overflow: Literal["clip", "ellipsis"] | None


class ButtonAttributes(Pressable, total=False):
    icon: str | None
    size: Literal["small", "medium", "large"] | None
    appearance: (
        Literal["secondary", "primary", "plain", "bordered", "media", "destructive", "caution", "success"] | None
    )
    text_color: str | None
    light_text_color: str | None
    dark_text_color: str | None
    disabled: bool | None


class ImageAttributes(Pressable, total=False):
    description: str | None
    resize_mode: Literal["none", "fit", "fill", "cover", "scale-down"] | None


class SpacerAttributes(Common, total=False):
    size: Literal["xsmall", "small", "medium", "large"] | None
    shape: Literal["invisible", "thin", "square"] | None


class IconAttributes(Pressable, total=False):
    color: str | None
    light_color: str | None
    dark_color: str | None
    size: Literal["xsmall", "small", "medium", "large"] | None


class AvatarAttributes(Pressable, total=False):
    size: Literal["xxsmall", "xsmall", "small", "medium", "large", "xlarge", "xxlarge", "xxxlarge"] | None
    facing: Literal["left", "right"] | None
    background: Literal["light", "dark"] | None


def blocks(*children: Child, height: Literal["regular", "tall"] | None = None) -> Element:
    """The root of a post. The post type's own height wins over *height*, as in Devvit."""
    return elements.stack("blocks", children, {"height": height})


def hstack(*children: Child, **attributes: Unpack[StackAttributes]) -> Element:
    """Children side by side."""
    return elements.stack("hstack", children, dict(attributes))


def vstack(*children: Child, **attributes: Unpack[StackAttributes]) -> Element:
    """Children one below the other."""
    return elements.stack("vstack", children, dict(attributes))


def zstack(*children: Child, **attributes: Unpack[StackAttributes]) -> Element:
    """Children on top of each other, the last in front."""
    return elements.stack("zstack", children, dict(attributes))


def text(*children: Child, **attributes: Unpack[TextAttributes]) -> Element:
    """Strings and numbers, joined without spaces."""
    return elements.labelled("text", children, dict(attributes))


def button(*children: Child, **attributes: Unpack[ButtonAttributes]) -> Element:
    """A button with text, an icon, or both."""
    return elements.labelled("button", children, dict(attributes))


def image(url: str, image_width: Size, image_height: Size, **attributes: Unpack[ImageAttributes]) -> Element:
    """A picture: an asset's name, an https: address or a data:image/ URI, with its own size in pixels."""
    return elements.leaf("image", {"url": url, "image_width": image_width, "image_height": image_height, **attributes})


def spacer(**attributes: Unpack[SpacerAttributes]) -> Element:
    """Room, or with *shape* a line or a square; with `grow=True` all the room that is left."""
    return elements.leaf("spacer", dict(attributes))


def icon(name: str, **attributes: Unpack[IconAttributes]) -> Element:
    """One of the named icons, each also with `-fill` or `-outline`."""
    return elements.leaf("icon", {"name": name, **attributes})


def avatar(thing_id: str, **attributes: Unpack[AvatarAttributes]) -> Element:
    """The picture of a user (`t2_…`)."""
    return elements.leaf("avatar", {"thing_id": thing_id, **attributes})


def webview(url: str, *, on_message: Press | None = None, **attributes: Unpack[Common]) -> Element:
    """A page of the bundle's assets, in a sandboxed frame. *on_message* gets the JSON that the page posts.

    `context.ui.web_view.post_message(message)` answers; `use_web_view` shows a page over the post instead.
    """
    return elements.leaf("webview", {"url": url, "on_message": on_message, **attributes})
