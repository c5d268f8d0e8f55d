"""What `playground` promises: apps run as on any host, time passes when told, and failures say what was there."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from showground.testing.bundles import write_bundle
from showground.testing.playground import AppFailed, Playground
from showground.testing.viewer import NotSeen
from showground.testing.waiting import eventually

APP = """
from showground import Devvit, use_state
from showground.blocks import blocks, button, text, vstack

Devvit.configure(redis=True, reddit=True)
Devvit.add_settings({"type": "string", "name": "greeting", "label": "Greeting", "default_value": "Hello"})

@Devvit.add_trigger("PostCreate")
async def created(event, context):
    print("a post came:", event.post.title)
    if event.post.title == "fail once" and context.attempt == 1:
        raise ValueError("at first it fails")
    if event.post.title == "fail":
        raise ValueError("no such luck")
    return await context.settings.get("greeting") + " " + event.post.title

@Devvit.add_trigger("PostReport")
async def plan(event, context):
    return await context.scheduler.run_job(name=event.reason, cron="* * * * *", key=event.reason)

@Devvit.add_scheduler_job("count")
async def count(event, context):
    await context.redis.incrby("runs", 1)

@Devvit.add_scheduler_job("fail")
async def fail(event, context):
    raise RuntimeError("the job is broken")

@Devvit.add_custom_post_type("Who")
def who(context):
    pressed, set_pressed = use_state(0)
    def press():
        set_pressed(pressed + 1)
        context.ui.show_toast("Thank you")
    return blocks(vstack(
        text(f"{context.username or 'a stranger'}, moderator: {context.is_moderator}, pressed {pressed}"),
        button("Press", on_press=press),
    ))
"""


@pytest.fixture
def bundle(tmp_path: Path) -> Path:
    return write_bundle(tmp_path / "sample", APP)


async def test_each_viewer_is_who_they_are_said_to_be(playground: Playground, bundle: Path) -> None:
    post = await (await playground.install(bundle)).post()
    async with post.viewer("Ada") as ada, post.viewer("Mod") as moderator, post.viewer() as stranger:
        await ada.sees("Ada, moderator: False")
        await moderator.sees("Mod, moderator: True")
        await stranger.sees("a stranger, moderator: False")
        await ada.press("Press")
        await ada.hears("Thank you")
        await ada.sees("pressed 1")
        await stranger.sees("pressed 0")


async def test_whoever_does_not_see_what_they_wait_for_says_what_they_saw(
    playground: Playground, bundle: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    post = await (await playground.install(bundle)).post()
    async with post.viewer("Ada") as ada:
        await ada.sees("pressed 0")
        monkeypatch.setattr("showground.testing.viewer.PATIENCE_S", 0.2)
        with pytest.raises(NotSeen, match="Ada, moderator: False, pressed 0"):
            await ada.sees("pressed 1")


async def test_a_failed_handler_fails_the_test_with_its_error_and_its_log(playground: Playground, bundle: Path) -> None:
    app = await playground.install(bundle)
    with pytest.raises(AppFailed, match=r"(?s)no such luck.*a post came: fail"):
        await app.emit("PostCreate", {"post": {"id": "t3_1", "title": "fail"}})
    assert await app.emit("PostCreate", {"post": {"id": "t3_2", "title": "Ada"}}) == "Hello Ada"
    with pytest.raises(AssertionError, match="no trigger for CommentCreate; it has PostCreate, PostReport"):
        await app.emit("CommentCreate", {"comment": {"id": "t1_1_1"}})


async def test_settings_are_the_operators(playground: Playground, bundle: Path) -> None:
    app = await playground.install(bundle, greeting="Good day")
    assert await app.emit("PostCreate", {"post": {"id": "t3_1", "title": "Ada"}}) == "Good day Ada"
    await app.set(greeting="Goodbye")
    assert await app.emit("PostCreate", {"post": {"id": "t3_1", "title": "Ada"}}) == "Goodbye Ada"


async def test_every_slot_of_the_time_that_passes_is_run(playground: Playground, bundle: Path) -> None:
    app = await playground.install(bundle)
    await app.emit("PostReport", {"post": {"id": "t3_1"}, "reason": "count"})
    await playground.clock.advance(seconds=60 - playground.clock.now_ms / 1000 % 60)
    before = int(await app.redis.get("runs") or 0)
    await playground.clock.advance(minutes=5)
    assert int(await app.redis.get("runs") or 0) == before + 5


async def test_a_job_that_fails_fails_whoever_lets_time_pass(playground: Playground, bundle: Path) -> None:
    app = await playground.install(bundle)
    await app.emit("PostReport", {"post": {"id": "t3_1"}, "reason": "fail"})
    with pytest.raises(AppFailed, match=r"a job failed.*the job is broken"):
        await playground.clock.advance(minutes=1)


class TestWithRetries:
    @pytest.fixture
    def playground_settings(self) -> dict[str, dict[str, Any]]:
        # The pause is random below this bound: so long that the retry does not come by itself while the test waits.
        return {"deliveries": {"max_attempts": 3, "retry_base_s": 900}}

    async def test_a_retry_comes_when_its_time_has_come(self, playground: Playground, bundle: Path) -> None:
        app = await playground.install(bundle)
        post = {"post": {"id": "t3_1", "title": "fail once"}}
        with pytest.raises(AppFailed, match="queued after attempt 0"):
            await app.emit("PostCreate", post, id="unheard", wait_s=0)

        async def heard() -> bool:
            """How an attempt failed is told to who waits for it, unless the attempt takes longer than the wait."""
            try:
                await app.emit("PostCreate", post, wait_s=0.3)
            except AppFailed as failed:
                return "failed after attempt 1" in str(failed)
            return False

        await eventually(heard)
        await playground.clock.advance(minutes=16)
        for id in ("unheard", "test-1"):
            assert await app.emit("PostCreate", post, id=id) == "Hello fail once", (
                "the same event again is answered with what became of it"
            )
