"""`context.ui` of menu items and forms: what is collected, and what is refused."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest

from showground import Form
from showground.context.ui import Ui
from showground.errors import ShowgroundError


def ui() -> Ui:
    def greeting(data: dict[str, Any]) -> dict[str, Any]:
        return {"title": data.get("who", "nobody"), "fields": [{"type": "string", "name": "text"}]}

    static = {"fields": [{"type": "boolean", "name": "sure"}]}
    return Ui({
        "form.0": Form(form=greeting, on_submit=print),
        "form.1": Form(form=static, on_submit=print),
    })  # fmt: skip


def test_effects_keep_their_order_and_are_json() -> None:
    one = ui()
    one.show_toast({"text": "a", "appearance": "success"})
    one.show_form("form.0", {"who": "Ann"})
    one.navigate_to({"url": "https://example.com/x"})
    assert [e["type"] for e in msgspec.json.decode(msgspec.json.encode(one.effects))] == ["toast", "form", "navigate"]
    assert one.effects[1]["form"]["title"] == "Ann"


def test_the_last_of_several_equal_forms_wins() -> None:
    one = ui()
    one.show_form("form.0", {"who": "Ann"})
    one.show_form("form.0", {"who": "Bob"})
    assert [e["form"]["title"] for e in one.effects] == ["Bob"]


@pytest.mark.parametrize(
    "url",
    [
        "relative",
        "/\\x/y",
        "javascript:alert(1)",
        "ftp://x/y",
        "https://",
        "https://a b/",
        "data:text/html,x",
        3,
        "//x/y",
    ],
)
def test_only_web_addresses_are_navigated_to(url: Any) -> None:
    with pytest.raises(ShowgroundError, match="navigate_to got"):
        ui().navigate_to(url)


def test_a_post_of_this_host_is_navigated_to_by_its_path() -> None:
    one = ui()
    one.navigate_to({"url": "", "permalink": "/c/playground/posts/t3_1"})
    assert [effect["url"] for effect in one.effects] == ["/c/playground/posts/t3_1"]


@pytest.mark.parametrize(
    ("toast", "appearance"), [("", "neutral"), (3, "neutral"), ("x" * 501, "neutral"), ("x", "red")]
)
def test_a_wrong_toast_is_refused(toast: Any, appearance: str) -> None:
    with pytest.raises(ShowgroundError, match="show_toast got"):
        ui().show_toast(toast, appearance=appearance)


def test_an_unknown_form_names_the_nearest() -> None:
    with pytest.raises(ShowgroundError, match=r"Did you mean 'form\.[01]'"):
        ui().show_form("form.2")
