"""What handlers hold: the event as attributes and as a mapping, and the context with its members."""

from __future__ import annotations

import copy
import json
import time
from typing import Any

import msgspec
import pytest

from showground.context.assets import AssetNames
from showground.context.context import Context
from showground.context.event import view
from showground.context.ui import Ui
from showground.errors import ShowgroundError
from showground.keys import InstallationId
from showground.model import Invocation, InvocationKind

EVENT = {
    "type": "PostUpdate",
    "previousBody": "old",
    "post": {"id": "t3_1", "title": "Hi", "numReports": 2, "flairs": [{"text": "a"}]},
    "values": {"minutes": 5},
    "keys": 1,
}


class Calls:
    def __init__(self, answer: Any = None) -> None:
        self.made: list[tuple[Any, ...]] = []
        self.answer = answer

    async def __call__(self, member: str, method: str, /, *args: object) -> Any:
        self.made.append((member, method, *args))
        return self.answer


def context(kind: InvocationKind = "trigger", call: Calls | None = None, ui: Ui | None = None, **more: Any) -> Context:
    invocation = Invocation(
        id="i",
        installation=InstallationId("app:here"),
        app="app",
        app_version="1.2.0",
        community="here",
        kind=kind,
        name="PostCreate",
        timeout_s=30,
        **more,
    )
    return Context(invocation, call or Calls(), AssetNames.at("/assets/d1", ["logo.svg", "a/b.png"]), ui)


def test_an_event_reads_as_attributes_and_as_a_mapping() -> None:
    event = view(EVENT)
    assert event.post.title == event["post"]["title"] == "Hi"
    assert event.post.flairs[0].text == "a"
    assert event.post.num_reports == event.post.numReports == 2
    assert event.previous_body == "old"
    assert event.values.minutes == 5
    assert event.keys == 1
    assert event.get("nothing") is None


def test_an_event_is_json_and_can_be_copied() -> None:
    event = view(EVENT)
    assert json.loads(json.dumps(event)) == msgspec.json.decode(msgspec.json.encode(event)) == EVENT
    assert {**event} == dict(event) == EVENT
    assert copy.deepcopy(event).post.title == "Hi"
    match event:
        case {"post": {"id": found}}:
            assert found == "t3_1"
        case _:
            pytest.fail("an event is no mapping")


def test_what_an_event_lacks_is_said_with_what_it_has() -> None:
    event = view(EVENT)
    with pytest.raises(AttributeError, match=r"The PostUpdate event has no 'pots'; it has keys, post, previousBody"):
        event.pots  # noqa: B018
    with pytest.raises(AttributeError, match=r"This object has no 'titel'; it has flairs, id, numReports, title"):
        event.post.titel  # noqa: B018
    with pytest.raises(KeyError, match="no 'pots'"):
        event["pots"]
    assert not hasattr(event, "pots")
    assert getattr(event.post, "author", None) is None


def test_the_context_says_what_the_invocation_is() -> None:
    given = context(
        attempt=2, idempotency_key="k", user_id="t2_1", post_id="t3_1", deadline_ms=int(time.time() * 1000) + 5000
    )
    assert (given.app_name, given.app_version, given.community, given.subreddit_name) == (
        "app",
        "1.2.0",
        "here",
        "here",
    )
    assert (given.attempt, given.idempotency_key, given.user_id, given.comment_id) == (2, "k", "t2_1", None)
    assert 4 < given.remaining_s <= 5
    assert context(deadline_ms=1).remaining_s == 0
    assert given.ui_environment is None
    shown = context("menu", ui=Ui({})).ui_environment
    assert shown is not None
    assert shown.timezone == "UTC"
    json.dumps(given.to_json())


@pytest.mark.parametrize("kind", ["trigger", "job", "validate"])
def test_where_nobody_looks_there_is_no_ui(kind: InvocationKind) -> None:
    with pytest.raises(ShowgroundError, match="ui client is not available"):
        context(kind).ui  # noqa: B018


async def test_a_member_that_a_plugin_adds_is_called_by_its_name() -> None:
    call = Calls("hello x")
    given = context(call=call)
    assert await given.greeter.hello("x", 2) == "hello x"
    assert call.made == [("greeter", "hello", "x", 2)]
    for private in ("_secret", "__wrapped__"):
        with pytest.raises(AttributeError):
            getattr(given, private)
        with pytest.raises(AttributeError):
            getattr(given.greeter, private)


async def test_settings_ask_the_host() -> None:
    call = Calls({"a": 1})
    assert await context(call=call).settings.get_all() == {"a": 1}
    await context(call=call).settings.get("a")
    assert call.made == [("settings", "get_all"), ("settings", "get", "a")]


def test_assets_know_their_names() -> None:
    assets = context().assets
    assert assets.get_url("logo.svg") == "/assets/d1/logo.svg"
    assert assets.get_url("missing.svg") == ""
    assert assets.get_url("data:image/png;base64,AA") == "data:image/png;base64,AA"
    assert list(assets.get_url(["logo.svg", "a/b.png"])) == ["logo.svg", "a/b.png"]
    with pytest.raises(ShowgroundError, match=r"no assets x\.png, y\.png"):
        assets.get_url(["logo.svg", "x.png", "y.png"])


async def test_fetch_sends_one_call_and_reads_the_answer() -> None:
    call = Calls(
        {
            "url": "https://a.example/x",
            "status": 201,
            "headers": {"Content-Type": "application/json; charset=latin-1"},
            "body": '{"name": "é"}'.encode("latin-1"),
        }
    )
    answer = await context(call=call).fetch("https://a.example", method="post", headers={"X-A": "1"}, body={"n": 1})
    assert call.made == [
        (
            "http",
            "fetch",
            "https://a.example",
            "POST",
            {"x-a": "1", "content-type": "application/json"},
            b'{"n":1}',
            30.0,
        )
    ]
    assert (answer.ok, answer.status, answer.url) == (True, 201, "https://a.example/x")
    assert answer.text() == '{"name": "é"}'
    call.answer = {"status": 404, "body": b'{"a":[1]}'}
    missing = await context(call=call).fetch("https://a.example")
    assert (missing.ok, missing.json(), missing.bytes()) == (False, {"a": [1]}, b'{"a":[1]}')


def test_a_clock_that_is_set_while_a_handler_runs_leaves_it_no_more_and_no_less_time(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    real = time.time
    given = context(deadline_ms=int(real() * 1000) + 20_000)
    for ahead_s in (300, -300):
        monkeypatch.setattr(time, "time", lambda ahead_s=ahead_s: real() + ahead_s)
        assert 19 < given.remaining_s <= 20
        assert 0 <= context(deadline_ms=int(real() * 1000) + 20_000).remaining_s <= 30
