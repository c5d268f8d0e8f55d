"""Hooks: what a live post remembers, loads, repeats, asks and hears."""

from __future__ import annotations

from typing import Any

import pytest

from showground import use_async, use_channel, use_form, use_interval, use_pagination, use_state, use_web_view
from showground.blocks import blocks, button, component, hstack, image, text, vstack, webview
from showground.testing.posts import Stage


def counter(context: Any) -> Any:
    count, set_count = use_state(0)

    def twice() -> None:
        set_count(lambda n: n + 1)
        set_count(lambda n: n + 1)

    return blocks(
        vstack(
            text("Count: ", count),
            button("one", on_press=lambda: set_count(count + 1)),
            button("twice", on_press=twice),
        )
    )


async def test_a_press_changes_the_state_and_sends_only_what_changed() -> None:
    screen = await Stage.of(counter).open()
    await screen.press("one")
    assert screen.texts[0] == "Count: 1"
    assert screen.last["patch"] == b'[["a",[0,0],{"text":"Count: 1"}]]'


async def test_updaters_see_what_earlier_setters_of_the_same_handler_set() -> None:
    screen = await Stage.of(counter).open()
    await screen.press("twice")
    assert screen.texts[0] == "Count: 2"


async def test_two_events_of_one_request_see_each_other() -> None:
    screen = await Stage.of(counter).open()
    one = {"type": "press", "action": screen.find("one")["press"]}
    await screen.step(one, one, one)
    assert screen.texts[0] == "Count: 3"


async def test_viewers_never_see_each_others_state() -> None:
    stage = Stage.of(counter)
    ann, bob = await stage.open("t2_ann"), await stage.open("t2_bob")
    await ann.press("one")
    await bob.press("twice")
    await ann.press("one")
    await ann.press("one")
    assert (ann.texts[0], bob.texts[0]) == ("Count: 3", "Count: 2")


async def test_changing_a_captured_list_in_place_changes_nobody_elses() -> None:
    def shopping(context: Any) -> Any:
        items, set_items = use_state([])  # type: ignore[var-annotated]

        def add() -> None:
            items.append("egg")
            set_items(items)

        def forget() -> None:
            items.append("lost")

        return vstack(text(",".join(items)), button("add", on_press=add), button("forget", on_press=forget))

    stage = Stage.of(shopping)
    ann, bob = await stage.open(), await stage.open()
    await ann.press("forget")
    await ann.press("add")
    await bob.press("add")
    await ann.press("add")
    assert (ann.texts[0], bob.texts[0]) == ("egg,egg", "egg")


async def test_an_async_initialiser_is_awaited_before_the_first_tree() -> None:
    async def load() -> str:
        return "loaded"

    def post(context: Any) -> Any:
        value, _ = use_state(load)
        return vstack(text(value))

    assert (await Stage.of(post).open()).texts == ["loaded"]


async def test_state_that_is_not_json_is_refused_with_the_place_in_it() -> None:
    def post(context: Any) -> Any:
        _, set_value = use_state({})  # type: ignore[var-annotated]
        return vstack(button("set", on_press=lambda: set_value({"a": [1, {2}]})))

    screen = await Stage.of(post).open()
    await screen.press("set")
    assert "the value of state-0['a'][1] is a set" in screen.errors[0]["message"]
    assert screen.errors[0]["where"].startswith("test_hooks.py:")


async def test_an_error_in_a_handler_leaves_the_state_as_before_and_tells_the_viewer() -> None:
    def post(context: Any) -> Any:
        count, set_count = use_state(0)

        def fail() -> None:
            set_count(99)
            context.ui.show_toast("never seen")
            raise LookupError("secret detail")

        return vstack(text(count), button("fail", on_press=fail), button("ok", on_press=lambda: set_count(count + 1)))

    screen = await Stage.of(post).open()
    await screen.press("fail")
    assert screen.texts[0] == "0"
    assert screen.effects == [{"type": "error", "message": "Something went wrong in this post. Nothing was changed."}]
    assert screen.errors[0]["message"] == "LookupError: secret detail"
    await screen.press("ok")
    assert screen.texts[0] == "1"


async def test_components_keep_their_state_when_keys_move_and_lose_it_when_they_go() -> None:
    @component
    def tally(name: str) -> Any:
        count, set_count = use_state(0)
        return button(f"{name} {count}", on_press=lambda: set_count(count + 1))

    def post(context: Any) -> Any:
        names, set_names = use_state(["a", "b"])
        return vstack(
            [tally(name, key=name) for name in names],
            button("swap", on_press=lambda: set_names(names[::-1])),
            button("drop a", on_press=lambda: set_names(["b"])),
            button("back", on_press=lambda: set_names(["a", "b"])),
        )

    screen = await Stage.of(post).open()
    await screen.press("a 0")
    await screen.press("swap")
    assert screen.texts[:2] == ["b 0", "a 1"]
    await screen.press("drop a")
    await screen.press("back")
    assert screen.texts[:2] == ["a 0", "b 0"]


async def test_hooks_are_refused_outside_of_a_render() -> None:
    def post(context: Any) -> Any:
        return vstack(button("bad", on_press=lambda: use_state(1)))

    screen = await Stage.of(post).open()
    await screen.press("bad")
    assert screen.errors[0]["message"] == "use_state was called outside of a render"
    assert "top of the render function" in screen.errors[0]["remedy"]


async def test_use_async_draws_first_then_loads_beside_the_post() -> None:
    asked: list[int] = []
    ended: list[object] = []

    def post(context: Any) -> Any:
        page, set_page = use_state(1)

        async def load() -> str:
            asked.append(page)
            if page == 3:
                raise OSError("no page 3")
            return f"page {page}"

        found = use_async(load, depends=page, finally_=lambda data, error: ended.append(data or error))
        shown = "loading" if found.loading else found.data or f"failed: {found.error and found.error.message}"
        return vstack(text(shown), button("next", on_press=lambda: set_page(page + 1)))

    screen = await Stage.of(post).open()
    assert screen.texts[0] == "loading"
    await screen.load()
    assert screen.texts[0] == "page 1"
    await screen.press("next")
    assert screen.texts[0] == "loading"
    await screen.step({"type": "async_start"})
    stale = screen.last["answer"]
    await screen.press("next")
    await screen.step({"type": "async_answer", "data": stale})
    assert screen.texts[0] == "loading", "an answer for other depends is dropped"
    await screen.load()
    assert screen.texts[0] == "failed: OSError: no page 3"
    assert asked == [1, 2, 3]
    assert len(ended) == 2


async def test_async_data_can_be_awaited_within_the_first_request() -> None:
    def post(context: Any) -> Any:
        async def load() -> str:
            return "there"

        return vstack(text(use_async(load).data or "loading"))

    stage = Stage.of(post)
    screen = await stage.open()
    await screen.step({"type": "async"})
    assert screen.texts == ["there"]
    assert not screen.more


async def test_intervals_tick_only_while_they_run() -> None:
    def post(context: Any) -> Any:
        count, set_count = use_state(0)
        timer = use_interval(lambda: set_count(count + 1), 1000)
        return vstack(text(count), button("start", on_press=timer.start), button("stop", on_press=timer.stop))

    screen = await Stage.of(post).open()
    assert screen.intervals == {}
    await screen.press("start")
    assert screen.intervals == {"interval-1": 1000}
    await screen.tick()
    await screen.press("stop")
    assert screen.intervals == {}
    await screen.step({"type": "interval", "hook": "interval-1"})
    assert screen.texts[0] == "1"


async def test_forms_are_checked_on_the_server_before_the_app_sees_them() -> None:
    def post(context: Any) -> Any:
        got, set_got = use_state("nothing")

        def make(data: Any) -> Any:
            return {
                "title": f"For {data['who']}",
                "fields": [
                    {"type": "string", "name": "name", "label": "Name", "required": True},
                    {"type": "group", "label": "More", "fields": [{"type": "number", "name": "age", "min": 0}]},
                ],
            }

        key = use_form(make, lambda values: set_got(str(values)), on_cancel=lambda: set_got("cancelled"))
        return vstack(text(got), button("ask", on_press=lambda: context.ui.show_form(key, {"who": "you"})))

    screen = await Stage.of(post).open()
    await screen.press("ask")
    assert screen.effects[0]["form"]["title"] == "For you"
    form = screen.effects
    await screen.submit(name="", age=-1)
    assert screen.effects == [
        {"type": "form_errors", "id": "form-1", "errors": {"name": "Please fill this in.", "age": "At least 0."}}
    ]
    screen.effects = form
    await screen.submit(name="Ann", age=5)
    assert screen.texts[0] == "{'name': 'Ann', 'age': 5}"
    screen.effects = form
    await screen.submit(name="twice")
    assert screen.texts[0] == "{'name': 'Ann', 'age': 5}", "a form is answered once for each time it is shown"
    await screen.press("ask")
    await screen.step({"type": "form_cancelled", "form": "form-1"})
    assert screen.texts[0] == "cancelled"


def ticker(context: Any) -> Any:
    last, set_last = use_state("waiting")
    log, set_log = use_state("")
    channel = use_channel(
        name="events",
        on_message=lambda data: set_last(data["message"]),
        on_subscribed=lambda: set_log(lambda s: s + "+"),
        on_unsubscribed=lambda: set_log(lambda s: s + "-"),
    )
    channel.subscribe()

    async def send() -> None:
        await channel.send({"message": "mine"})

    return vstack(
        text(last),
        text(channel.status.name),
        text("log", log),
        button("send", on_press=send),
        button("leave", on_press=channel.unsubscribe),
    )


async def test_a_channel_goes_through_its_statuses() -> None:
    stage = Stage.of(ticker)
    screen = await stage.open(connect=False)
    assert screen.channels == ("events",)
    assert screen.texts[1] == "CONNECTING"
    await screen.press("send")
    assert screen.errors[0]["code"] == "not_connected"
    assert stage.sent == []
    await screen.connect()
    assert screen.texts[1:3] == ["CONNECTED", "log+"]
    await screen.disconnect()
    assert screen.texts[1:3] == ["CONNECTING", "log+-"], "a loss is not a wish to leave"
    await screen.connect()
    await screen.press("send")
    await stage.deliver_sent()
    assert screen.texts[0] == "mine", "own messages come back"


async def test_messages_are_ignored_once_a_post_has_left_the_channel() -> None:
    def post(context: Any) -> Any:
        heard, set_heard = use_state("")
        wanted, set_wanted = use_state(True)
        channel = use_channel(name="a", on_message=set_heard)
        if wanted:
            channel.subscribe()
        else:
            channel.unsubscribe()
        return vstack(
            text("heard ", heard), text(channel.status.name), button("leave", on_press=lambda: set_wanted(False))
        )

    stage = Stage.of(post)
    screen = await stage.open()
    await stage.deliver("a", "one")
    await screen.press("leave")
    assert screen.channels == ()
    await screen.step({"type": "message", "channel": "a", "data": b'"two"'})
    assert screen.texts[:2] == ["heard one", "DISCONNECTING"]


@pytest.mark.parametrize(
    ("names", "message"),
    [(["a b"], "is not a channel name"), (["a", "a"], "must be unique"), (list("abcdef"), "more than 5 channels")],
)
async def test_a_wrong_channel_is_refused_when_the_post_is_drawn(names: list[str], message: str) -> None:
    def post(context: Any) -> Any:
        for name in names:
            use_channel(name=name)
        return vstack()

    screen = await Stage.of(post).open()
    assert screen.tree is None
    assert message in screen.errors[0]["message"]


async def test_a_web_view_is_mounted_hears_and_answers() -> None:
    def post(context: Any) -> Any:
        heard, set_heard = use_state("")

        def on_message(message: Any, page: Any) -> None:
            set_heard(message["say"])
            page.post_message({"heard": message["say"]})

        page = use_web_view(url="game.html", on_message=on_message, on_unmount=lambda: set_heard("closed"))
        return vstack(text("heard ", heard), button("play", on_press=page.mount))

    screen = await Stage.of(post, assets=["game.html"]).open()
    await screen.press("play")
    url = "/assets/app/1.0.0/game.html"
    assert screen.effects == [{"type": "web_view", "hook": "webview-1", "action": "mount", "url": url}]
    await screen.step({"type": "web_view", "hook": "webview-1", "data": b'{"say":"hi"}'})
    assert screen.texts[0] == "heard hi"
    assert screen.effects[0]["message"] == {"heard": "hi"}
    await screen.step({"type": "web_view", "hook": "webview-1", "visible": False})
    assert screen.texts[0] == "heard closed"


async def test_a_page_within_the_post_talks_with_it() -> None:
    def post(context: Any) -> Any:
        heard, set_heard = use_state("")

        def on_message(message: Any) -> None:
            set_heard(message)
            context.ui.web_view.post_message({"heard": message})

        return vstack(text("heard ", heard), webview("game.html", on_message=on_message))

    screen = await Stage.of(post, assets=["game.html"]).open()
    page = next(attributes for kind, attributes in screen.nodes() if kind == "webview")
    assert page["url"] == "/assets/app/1.0.0/game.html"
    await screen.step({"type": "web_view", "hook": page["hook"], "data": b'"hi"'})
    assert screen.texts == ["heard hi"]
    assert screen.effects == [{"type": "web_view", "hook": "", "action": "message", "message": {"heard": "hi"}}]


async def test_an_asset_that_the_bundle_lacks_is_an_error_when_the_post_is_drawn() -> None:
    screen = await Stage.of(lambda context: image("dog.png", 10, 10), assets=["cat.png"]).open()
    assert screen.errors[0]["message"] == "the bundle has no asset 'dog.png'"


async def test_pagination_follows_a_list_that_shrinks() -> None:
    def post(context: Any) -> Any:
        size, set_size = use_state(5)
        pages = use_pagination(list(range(size)), 2)
        return vstack(
            text(",".join(map(str, pages.current_items))),
            text(pages.current_page, "/", pages.pages_count),
            hstack(button("next", on_press=pages.to_next_page, disabled=pages.is_last_page)),
            button("shrink", on_press=lambda: set_size(1)),
        )

    screen = await Stage.of(post).open()
    await screen.press("next")
    await screen.press("next")
    assert screen.texts[:2] == ["4", "2/3"]
    assert "press" not in screen.find("next")
    await screen.press("shrink")
    assert screen.texts[:2] == ["0", "0/1"]


async def test_toasts_that_differ_both_survive_and_equal_ones_are_shown_once() -> None:
    def post(context: Any) -> Any:
        def press() -> None:
            context.ui.show_toast({"text": "one", "appearance": "success"})
            context.ui.show_toast("two")
            context.ui.show_toast("two")
            context.ui.navigate_to("https://example.com/a")

        return vstack(
            button("press", on_press=press),
            button("away", on_press=lambda: context.ui.navigate_to("javascript:alert(1)")),
        )

    screen = await Stage.of(post).open()
    await screen.press("press")
    assert [e.get("text", e.get("url")) for e in screen.effects] == ["one", "two", "https://example.com/a"]
    await screen.press("away")
    assert "navigate_to got" in screen.errors[0]["message"]


async def test_a_state_that_grows_too_large_is_refused_and_the_view_goes_on() -> None:
    def post(context: Any) -> Any:
        value, set_value = use_state("small")
        return vstack(
            text(len(value)),
            button("grow", on_press=lambda: set_value("x" * 2_000_000)),
            button("ok", on_press=lambda: set_value("okay")),
        )

    screen = await Stage.of(post).open()
    await screen.press("grow")
    assert "bytes; 1048576 are allowed" in screen.errors[0]["message"]
    assert screen.texts[0] == "5"
    await screen.press("ok")
    assert screen.texts[0] == "4"


async def test_events_after_one_that_failed_still_count() -> None:
    def post(context: Any) -> Any:
        count, set_count = use_state(0)

        def fail() -> None:
            raise RuntimeError

        return vstack(text(count), button("fail", on_press=fail), button("one", on_press=lambda: set_count(count + 1)))

    screen = await Stage.of(post).open()
    fail, one = ({"type": "press", "action": screen.find(name)["press"]} for name in ("fail", "one"))
    await screen.step(one, fail, one)
    assert screen.texts[0] == "2"
    assert len(screen.errors) == 1


async def test_a_press_on_what_has_gone_is_ignored() -> None:
    screen = await Stage.of(counter).open()
    await screen.step({"type": "press", "action": "v9.b9"}, {"type": "interval", "hook": "interval-7"})
    assert screen.texts[0] == "Count: 0"
    assert screen.rev == 1
