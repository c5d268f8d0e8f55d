"""Many views of one post: those in the same state are run once, and nothing personal ever crosses from one to another."""

from __future__ import annotations

import secrets
from typing import Any

import pytest

from showground import use_channel, use_state
from showground.blocks import button, text, vstack
from showground.errors import ShowgroundError
from showground.testing.posts import Stage


def ticker(context: Any) -> Any:
    last, set_last = use_state("waiting")
    mine, set_mine = use_state(0)
    use_channel(name="events", on_message=lambda data: set_last(data)).subscribe()
    return vstack(text(last), text("mine ", mine), button("mine+", on_press=lambda: set_mine(mine + 1)))


async def test_a_message_to_views_in_the_same_state_is_run_once_and_shares_its_bytes() -> None:
    stage = Stage.of(ticker)
    screens = [await stage.open(f"t2_{i}") for i in range(50)]
    before, requests = stage.views.renders, stage.requests
    await stage.deliver("events", "hello")
    assert stage.views.renders - before == 1
    assert stage.requests - requests == 1
    assert {screen.texts[0] for screen in screens} == {"hello"}
    assert len({id(screen.last) for screen in screens}) == 1


async def test_views_that_parted_are_run_by_themselves_and_meet_again() -> None:
    def post(context: Any) -> Any:
        value, set_value = use_state("")
        use_channel(name="a", on_message=set_value).subscribe()
        return vstack(text(value), button("x", on_press=lambda: set_value("x")))

    stage = Stage.of(post)
    ann, bob = await stage.open(), await stage.open()
    await ann.press("x")
    before = stage.views.renders
    await stage.deliver("a", "y")
    assert stage.views.renders - before == 2
    await stage.deliver("a", "z")
    assert stage.views.renders - before == 3
    assert ann.texts == bob.texts == ["z", "x"]


async def test_a_post_that_shows_who_looks_is_run_for_each_viewer() -> None:
    def post(context: Any) -> Any:
        last, set_last = use_state("")
        use_channel(name="a", on_message=set_last).subscribe()
        return vstack(text(f"{context.username}: {last}" if last else "nothing yet"))

    stage = Stage.of(post)
    ann, bob = await stage.open("t2_ann"), await stage.open("t2_bob")
    await stage.deliver("a", "hi")
    assert (ann.texts, bob.texts) == (["ann: hi"], ["bob: hi"])
    await stage.deliver("a", "ho")
    assert (ann.texts, bob.texts) == (["ann: ho"], ["bob: ho"])


async def test_a_handler_that_reads_the_viewer_is_run_for_each() -> None:
    def post(context: Any) -> Any:
        last, set_last = use_state("")
        use_channel(name="a", on_message=lambda data: set_last(f"{context.user_id} {data}")).subscribe()
        return vstack(text(last))

    stage = Stage.of(post)
    ann, bob = await stage.open("t2_ann"), await stage.open("t2_bob")
    await stage.deliver("a", "hi")
    assert (ann.texts, bob.texts) == (["t2_ann hi"], ["t2_bob hi"])


async def test_a_handler_that_calls_a_capability_runs_once_per_viewer_and_in_their_name() -> None:
    calls: list[str] = []

    async def call(member: str, method: str, /, *arguments: object) -> Any:
        calls.append(f"{member}.{method}")
        return "who"

    def post(context: Any) -> Any:
        last, set_last = use_state("")

        async def heard(data: Any) -> None:
            set_last(await context.greeter.hello())

        use_channel(name="a", on_message=heard).subscribe()
        return vstack(text(last))

    stage = Stage.of(post, call)
    screens = [await stage.open(f"t2_{i}") for i in range(3)]
    await stage.deliver("a", "hi")
    assert calls == ["greeter.hello"] * 3
    assert [screen.texts for screen in screens] == [["who"]] * 3


async def test_views_of_one_screen_size_share_what_only_depends_on_the_size() -> None:
    def post(context: Any) -> Any:
        last, set_last = use_state("")
        use_channel(name="a", on_message=set_last).subscribe()
        return vstack(text(last, context.dimensions.width))

    stage = Stage.of(post)
    wide = [await stage.open(f"t2_{i}", width=800) for i in range(5)]
    narrow = [await stage.open(f"t2_{i}", width=300) for i in range(5)]
    await stage.deliver("a", "w")
    before = stage.views.renders
    await stage.deliver("a", "v")
    assert stage.views.renders - before == 2
    assert {s.texts[0] for s in wide} == {"v800"}
    assert {s.texts[0] for s in narrow} == {"v300"}
    wide[0].env["width"] = 500
    await wide[0].step({"type": "resize"})
    assert wide[0].texts == ["v500"]


async def test_every_new_view_makes_its_own_initial_state() -> None:
    def post(context: Any) -> Any:
        session, _ = use_state(lambda: secrets.token_hex(4))
        return vstack(text(session))

    stage = Stage.of(post)
    assert len({(await stage.open()).texts[0] for _ in range(5)}) == 5


async def test_a_view_survives_the_loss_of_the_workers_memory() -> None:
    stage = Stage.of(ticker)
    screen = await stage.open()
    await screen.press("mine+")
    stage.views.cache.drop(screen.id)
    await screen.press("mine+")
    assert screen.texts[1] == "mine 2"
    assert screen.last["tree"], "whoever was resumed gets the whole tree"


async def test_the_cache_stays_within_its_bounds_and_nobody_notices() -> None:
    stage = Stage.of(ticker)
    stage.views.cache._max_views = 3
    screens = [await stage.open() for _ in range(6)]
    assert len(stage.views.cache) == 3
    for screen in screens:
        await screen.press("mine+")
    await stage.deliver("events", "x")
    assert [screen.texts[:2] for screen in screens] == [["x", "mine 1"]] * 6
    for screen in screens:
        stage.views.cache.drop(screen.id)
    assert stage.views.cache.bytes == 0


async def test_a_request_that_breaks_the_protocol_is_refused() -> None:
    stage = Stage.of(ticker)
    screen = await stage.open()
    with pytest.raises(ShowgroundError) as caught:
        await screen.step({"type": "dance"})
    assert caught.value.code == "protocol_error"


async def test_a_client_that_was_captured_while_drawing_serves_later_events() -> None:
    store: dict[str, int] = {"presses": 0}

    async def call(member: str, method: str, /, *arguments: object) -> Any:
        assert (member, method) == ("redis", "command")
        store["presses"] += 1
        return store["presses"]

    def post(context: Any) -> Any:
        redis = context.redis
        count, set_count = use_state(0)
        use_channel(name="a", on_message=set_count).subscribe()

        async def press() -> None:
            set_count(await redis.incrby("presses", 1))

        return vstack(text(count), button("press", on_press=press))

    stage = Stage.of(post, call)
    ann, bob = await stage.open("t2_ann"), await stage.open("t2_bob")
    await ann.press("press")
    await ann.press("press")
    assert ann.texts[0] == "2"
    before = stage.views.renders
    await stage.deliver("a", 7)
    assert (ann.texts[0], bob.texts[0]) == ("7", "7")
    await stage.deliver("a", 8)
    assert stage.views.renders - before == 3, "capturing a client is not using it"


async def test_redis_in_a_message_handler_is_asked_once_for_each_viewer() -> None:
    calls: list[object] = []

    async def call(member: str, method: str, /, *arguments: object) -> Any:
        calls.append(arguments)
        return "stored"

    def post(context: Any) -> Any:
        value, set_value = use_state("")

        async def heard(data: Any) -> None:
            set_value(await context.redis.get("x"))

        use_channel(name="a", on_message=heard).subscribe()
        return vstack(text(value))

    stage = Stage.of(post, call)
    screens = [await stage.open(f"t2_{i}") for i in range(3)]
    await stage.deliver("a", 1)
    assert len(calls) == 3
    assert [screen.texts for screen in screens] == [["stored"]] * 3
