"""Blocks: what they put on the wire, and what a wrong attribute says."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest

from showground import blocks as b
from showground.blocks import component
from showground.errors import ShowgroundError
from showground.testing.posts import Stage
from showground.ui.attributes import ATTRIBUTES
from showground.ui.names import icons
from showground.ui.preview import preview_tree


async def drawn(element: Any, **options: Any) -> Any:
    return (await Stage.of(lambda context: element, **options).open()).tree


async def test_defaults_stay_off_the_wire() -> None:
    tree = await drawn(b.vstack(b.text("a", size="medium", weight="regular"), gap="none", reverse=False))
    assert tree == ["blocks", {}, [["vstack", {}, [["text", {"text": "a"}]]]]]


async def test_children_flatten_and_nothing_is_drawn_for_none_and_false() -> None:
    tree = await drawn(b.hstack("a", 1, None, False, [b.text("b"), [2.5]]))
    assert [child[1]["text"] for child in tree[2][0][2]] == ["a", "1", "b", "2.5"]


async def test_the_post_types_height_wins() -> None:
    assert (await drawn(b.blocks(b.text("a"), height="regular"), height="tall"))[1] == {"height": "tall"}


@pytest.mark.parametrize(
    ("value", "wire"),
    [
        ("#FF4500", "#ff4500"),
        ("rgb(255, 69, 0)", "#ff4500"),
        ("rgba(255,69,0,50%)", "#ff450080"),
        ("hsl(16 100% 50%)", "hsl(16,100%,50%)"),
        ("Red", "red"),
        ("neutral-background", "neutral-background"),
        ("white black", ["white", "black"]),
        ("rgb(0,0,0) #fff", ["#000000", "#fff"]),
    ],
)
async def test_colours_keep_their_names_for_the_client(value: str, wire: Any) -> None:
    tree = await drawn(b.vstack(background_color=value))
    assert tree[2][0][1] == {"background_color": wire}


async def test_light_and_dark_attributes_make_a_pair() -> None:
    tree = await drawn(b.text("a", color="red", dark_color="blue"))
    assert tree[2][0][1]["color"] == ["red", "blue"]


async def test_a_border_colour_alone_is_a_thin_border() -> None:
    assert (await drawn(b.vstack(border_color="red")))[2][0][1] == {"border_color": "red", "border": "thin"}


@pytest.mark.parametrize(("value", "wire"), [(50, "50%"), ("50", "50%"), ("120px", "120px"), (12.5, "12.5%")])
async def test_sizes_are_percent_unless_they_say_pixels(value: Any, wire: str) -> None:
    assert (await drawn(b.spacer(width=value)))[2][0][1] == {"width": wire}


def faulty() -> list[tuple[Any, str, str]]:
    anything: Any = b
    return [
        (lambda: anything.vstack(aligment="top"), "vstack() has no attribute 'aligment'", "'alignment'"),
        (lambda: anything.vstack(cornerRadius="full"), "vstack() has no attribute 'cornerRadius'", "corner_radius"),
        (lambda: anything.text("a", size="huge"), "text(size='huge')", "xxlarge"),
        (lambda: anything.icon("upvot"), "icon(name='upvot')", "'upvote'"),
        (lambda: anything.text("a", color="neutral-backgrund"), "color='neutral-backgrund'", "neutral-background"),
        (lambda: anything.text("a", color="ff4500"), "color='ff4500'", "#ff4500"),
        (lambda: anything.vstack(alignment="left"), "alignment='left'", "start, center or end"),
        (lambda: anything.vstack(gap=["small"]), "gap=['small']", "none, small"),
        (lambda: anything.button("a", on_press=3), "on_press=…) is a int", "lambda"),
        (lambda: anything.image(url="http://x/y.png", image_width=1, image_height=1), "url='http", "https:"),
        (lambda: anything.image(url="a.png", image_width="50%", image_height=1), "image_width='50%'", "pixels"),
        (lambda: anything.spacer(on_press=print), "spacer() cannot be pressed", "stack"),
        (lambda: anything.text(b.text("a")), "text() holds a text", "text and numbers only"),
        (lambda: anything.vstack(b.blocks()), "blocks() stands inside vstack()", "root"),
        (lambda: anything.vstack(True), "got a child of type bool", "Children are"),
        (lambda: anything.vstack(b.text), "got a child of type function", "Call the component"),
    ]


@pytest.mark.parametrize(("make", "message", "remedy"), faulty())
def test_a_wrong_attribute_names_the_block_the_line_and_the_remedy(make: Any, message: str, remedy: str) -> None:
    with pytest.raises(ShowgroundError) as caught:
        make()
    assert caught.value.code == "app_error"
    assert message in caught.value.message
    assert remedy in caught.value.remedy
    assert caught.value.where.startswith("test_blocks.py:")


async def test_a_render_returns_exactly_one_block() -> None:
    for wrong in (None, "text", [b.text("a")]):
        screen = await Stage.of(lambda context, wrong=wrong: wrong).open()
        assert screen.tree is None
        assert "Return exactly one block" in screen.errors[0]["remedy"]


async def test_siblings_with_the_same_key_are_refused() -> None:
    screen = await Stage.of(lambda context: b.vstack(b.text("a", key=1), b.text("b", key=1))).open()
    assert "two siblings have the key 1" in screen.errors[0]["message"]


async def test_one_pixel_of_a_grid_is_less_than_100_bytes() -> None:
    from showground import use_state

    def grid(context: Any) -> Any:
        pixels, set_pixels = use_state([1] * 64)

        def paint(index: int) -> None:
            set_pixels([*pixels[:index], 2, *pixels[index + 1 :]])

        def cell(index: int) -> Any:
            color = "white" if pixels[index] == 1 else "#EB5757"
            return b.hstack(
                key=index, label=str(index), width="32px", height="32px", background_color=color,
                on_press=lambda: paint(index),
            )  # fmt: skip

        return b.blocks(b.vstack([b.hstack([cell(y * 8 + x) for x in range(8)]) for y in range(8)]))

    screen = await Stage.of(grid).open()
    await screen.press("29")
    assert screen.last["patch"] == b'[["a",[0,3,5],{"background_color":"#eb5757"}]]'
    assert len(screen.last["patch"]) < 100


async def test_the_handler_gets_the_data_that_the_app_gave_whatever_the_browser_says() -> None:
    got: list[Any] = []
    screen = await Stage.of(lambda context: b.button("a", on_press=got.append, data={"n": 1})).open()
    action = screen.find("a")["press"]
    await screen.step({"type": "press", "action": action, "data": b'{"n":2}'})
    assert got == [{"n": 1}]


async def test_a_default_argument_of_a_handler_is_left_alone() -> None:
    got: list[int] = []
    screen = await Stage.of(
        lambda context: b.vstack([b.button(str(i), on_press=lambda i=i: got.append(i)) for i in range(3)])
    ).open()
    await screen.press("2")
    assert got == [2]


async def test_a_memo_component_is_not_called_again_while_its_arguments_are_equal() -> None:
    from showground import use_state

    calls: list[str] = []

    @component(memo=True)
    def row(name: str, on_press: Any) -> Any:
        calls.append(name)
        own, set_own = use_state(0)
        return b.hstack(b.button(f"{name} {own}", on_press=lambda: set_own(own + 1)), b.button("up", on_press=on_press))

    def post(context: Any) -> Any:
        names, _ = use_state(["a", "b"])
        total, set_total = use_state(0)
        return b.vstack(b.text(total), [row(n, set_total, key=n) for n in names])

    screen = await Stage.of(post).open()
    calls.clear()
    await screen.press("a 0")
    assert set(calls) >= {"a"}
    assert calls.count("b") == 1, "only the fresh render that checks the tree calls the other"


def test_every_icon_is_known_with_its_variants() -> None:
    assert len(icons()) == 392
    for name in ("upvote", "upvote-fill", "upvote-outline"):
        b.icon(name)


def test_every_attribute_is_documented() -> None:
    from pathlib import Path

    page = (Path(__file__).parents[3] / "docs/blocks.md").read_text()
    missing = {
        f"{block}.{name}"
        for block, known in ATTRIBUTES.items()
        for name in known
        if f"`{name}`" not in page and not name.startswith(("light_", "dark_"))
    }
    assert not missing


async def test_text_is_data_on_the_wire_and_never_markup() -> None:
    tree = await drawn(b.text("<script>alert(1)</script>"))
    assert msgspec.json.encode(tree) == b'["blocks",{},[["text",{"text":"<script>alert(1)</script>"}]]]'


def test_a_preview_is_the_tree_without_anything_to_press() -> None:
    tree = msgspec.json.decode(preview_tree(b.vstack(b.button("Loading", on_press=print), b.text("…"))))
    assert tree == ["blocks", {}, [["vstack", {}, [["button", {"text": "Loading"}], ["text", {"text": "…"}]]]]]


def test_a_preview_has_no_hooks() -> None:
    from showground import use_state

    @component
    def lively() -> Any:
        return b.text(use_state(0)[0])

    with pytest.raises(ShowgroundError, match="use_state was used outside of a live post"):
        preview_tree(lively())
