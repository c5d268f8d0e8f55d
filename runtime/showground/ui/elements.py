"""What the block functions return: a tree of elements, before it is given paths and becomes the wire's tree."""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterable
from types import GeneratorType
from typing import Any, Final, overload

from showground.errors import ShowgroundError
from showground.ui.attributes import wire_attributes
from showground.ui.faults import fault

Key = str | int
STACKS: Final = ("hstack", "vstack", "zstack")
TAGS: Final = {
    "blocks": "r",
    "hstack": "h",
    "vstack": "v",
    "zstack": "z",
    "text": "t",
    "button": "b",
    "image": "i",
    "spacer": "s",
    "icon": "c",
    "avatar": "a",
    "webview": "w",
}
"""One letter per block for paths: the third child of a stack, a button, is `b2`; with key "x" it is `b:x`."""

UNPRESSABLE: Final = frozenset({"blocks", "spacer", "webview"})
NO_DATA: Final = object()


class Element:
    """One block. `attrs` may be shared with other elements and is never changed."""

    __slots__ = ("attrs", "block", "children", "data", "id", "key", "press", "tag")

    def __init__(
        self,
        block: str,
        attrs: dict[str, Any],
        children: list[Node | None] | None,
        key: Key | None = None,
        identity: str | None = None,
        press: Callable[..., Any] | None = None,
        data: Any = NO_DATA,
    ) -> None:
        self.block = block
        self.tag = TAGS[block]
        self.attrs = attrs
        self.children = children
        self.key = key
        self.id = identity
        self.press = press
        self.data = data


class Component:
    """A call of a component that is made when its place in the tree is known, so that its hooks are its own."""

    __slots__ = ("args", "function", "id", "key", "kwargs", "memo", "tag")

    def __init__(
        self,
        function: Callable[..., Any],
        args: tuple[Any, ...],
        kwargs: dict[str, Any],
        key: Key | None,
        memo: bool,
    ) -> None:
        self.function = function
        self.args = args
        self.kwargs = kwargs
        self.key = key
        self.id: str | None = None
        self.memo = memo
        self.tag = function.__name__


Node = Element | Component
Child = Node | str | int | float | bool | None | Iterable["Child"]
"""What may stand among the children of a stack. Lists flatten; None and False keep their place but draw nothing; text and
numbers become text blocks."""


@overload
def component(function: Callable[..., Any]) -> Callable[..., Component]: ...


@overload
def component(*, memo: bool = False) -> Callable[[Callable[..., Any]], Callable[..., Component]]: ...


def component(function: Callable[..., Any] | None = None, *, memo: bool = False) -> Any:
    """Make *function* a component with hooks of its own: `@component`.

    Without it, hooks that a helper function calls belong to the component that calls the helper, in order of the calls.
    The call takes one more keyword, `key`, which keeps its state when it moves among its siblings.
    With *memo*, it is not called again while its arguments are equal and its own state has not changed; it must then
    depend on nothing else, and must not change its arguments.
    """
    if function is None:
        return functools.partial(component, memo=memo)

    @functools.wraps(function)
    def place(*args: Any, key: Key | None = None, **kwargs: Any) -> Component:
        if key is not None:
            check_key(function.__name__, key)
        return Component(function, args, kwargs, key, memo)

    return place


def check_key(block: str, key: object) -> None:
    if not isinstance(key, str | int) or isinstance(key, bool):
        raise fault(f"{block}(key={key!r}): a key is a string or a whole number", "Use an id of what is shown.")


def plain_text(block: str, children: tuple[Any, ...]) -> str:
    """The children of a text or button, joined without spaces; None and False are skipped."""
    parts: list[str] = []
    for child in children:
        if isinstance(child, str):
            parts.append(child)
        elif child is None or child is False:
            continue
        elif isinstance(child, int | float) and child is not True:
            parts.append(str(child))
        elif isinstance(child, list | tuple | GeneratorType):
            parts.append(plain_text(block, tuple(child)))
        else:
            what = child.block if isinstance(child, Element) else type(child).__name__
            raise fault(f"{block}() holds a {what}", "It takes text and numbers only; put other blocks beside it.")
    return "".join(parts)


def flat_children(block: str, children: Iterable[Any], found: list[Node | None]) -> list[Node | None]:
    for child in children:
        kind = child.__class__
        if kind is Element or kind is Component:
            if kind is Element and child.block == "blocks":
                raise fault(
                    f"blocks() stands inside {block}()", "Only the root of a post is blocks(); use a stack here."
                )
            found.append(child)
        elif child is None or child is False:
            found.append(None)
        elif kind is str or kind is int or kind is float:
            found.append(Element("text", {"text": str(child)}, None))
        elif isinstance(child, list | tuple | GeneratorType | map | filter):
            flat_children(block, child, found)
        else:
            remedy = (
                "Call the component."
                if callable(child)
                else "Children are blocks, text, numbers, None or lists of these."
            )
            raise fault(f"{block}() got a child of type {kind.__name__}: {child!r:.60}", remedy)
    return found


def stack(block: str, children: tuple[Any, ...], attrs: dict[str, Any]) -> Element:
    """A block with children."""
    return _element(block, {}, flat_children(block, children, []), attrs)


def labelled(block: str, children: tuple[Any, ...], attrs: dict[str, Any]) -> Element:
    """A block that shows text."""
    return _element(block, {"text": plain_text(block, children)}, None, attrs)


def leaf(block: str, attrs: dict[str, Any]) -> Element:
    return _element(block, {}, None, attrs)


def _element(block: str, own: dict[str, Any], children: list[Node | None] | None, attrs: dict[str, Any]) -> Element:
    key: Key | None = None
    identity: str | None = None
    press: Callable[..., Any] | None = None
    data: Any = NO_DATA
    if "key" in attrs:
        key = attrs.pop("key")
        kind = key.__class__
        if kind is not str and kind is not int and key is not None:
            check_key(block, key)
    if "on_press" in attrs:
        press = attrs.pop("on_press")
    if "data" in attrs:
        data = attrs.pop("data")
    if "on_message" in attrs and block == "webview":
        press = attrs.pop("on_message")
        if press is not None and not callable(press):
            raise fault(f"webview(on_message=…) is a {type(press).__name__}, not a function", "Write on_message=heard.")
    elif (press is not None or data is not NO_DATA) and (
        block in UNPRESSABLE or not (press is None or callable(press))
    ):
        raise _wrong_press(block, press)
    if "id" in attrs:
        identity = attrs.pop("id")
    try:
        checked = wire_attributes(block, (*attrs,), *attrs.values())
    except TypeError:  # an unhashable value is never right, but its own check says why
        checked = wire_attributes.__wrapped__(block, (*attrs,), *attrs.values())
    if own:
        checked = {**own, **checked} if checked else own
    return Element(block, checked, children, key, identity, press, data)


def _wrong_press(block: str, press: Any) -> ShowgroundError:
    if block in UNPRESSABLE:
        return fault(f"{block}() cannot be pressed", "Put it into a stack with on_press.")
    return fault(
        f"{block}(on_press=…) is a {type(press).__name__}, not a function",
        "Write on_press=save, or on_press=lambda: save(3); on_press=save(3) calls it at once.",
    )
