"""Live posts end to end: a real host, real workers, a real Redis, and viewers that speak the browser protocol."""

from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from pathlib import Path

import pytest

from showground.capabilities import REALTIME
from showground.keys import KeySpace, installation_id
from showground.testing.host import HostUnderTest, running_host
from showground.testing.viewer import Viewer
from showground.views.records import ViewRequest
from showground.web import live

TALLY = Path(__file__).parent / "tally"


@pytest.fixture
async def host(tmp_path: Path, redis_url: str, keys: KeySpace) -> AsyncIterator[HostUnderTest]:
    async with running_host(tmp_path, redis_url, keys.prefix, realtime={"messages_per_s": 10_000}) as host:
        await host.install(TALLY)
        yield host


@pytest.fixture
async def post(host: HostUnderTest) -> str:
    return await host.submit_post("tally")


async def test_a_press_is_seen_by_who_pressed(host: HostUnderTest, post: str) -> None:
    async with Viewer(host.host.url, post) as viewer:
        await viewer.sees("own 0")
        await viewer.press("Add own")
        await viewer.sees("own 1")


async def test_what_one_sends_everybody_sees(host: HostUnderTest, post: str) -> None:
    async with AsyncExitStack() as stack:
        viewers = [await stack.enter_async_context(Viewer(host.host.url, post)) for _ in range(3)]
        for viewer in viewers:
            await viewer.sees("channel here")
        await viewers[0].press("Add shared")
        for viewer in viewers:
            await viewer.sees("shared 1")
            assert "own 0" in viewer.text


async def test_async_data_arrives_without_being_asked_for(host: HostUnderTest, post: str) -> None:
    async with Viewer(host.host.url, post) as viewer:
        await viewer.sees("greeting hello")


async def test_a_viewer_who_comes_back_finds_everything_and_hears_what_was_missed(
    host: HostUnderTest, post: str
) -> None:
    async with Viewer(host.host.url, post) as one, Viewer(host.host.url, post) as two:
        await one.sees("channel here")
        await two.sees("channel here")
        await one.press("Add own")
        await one.cut()
        for _ in range(3):
            await two.press("Add shared")
        await one.connect()
        assert one.resumed
        await one.sees("own 1")
        await one.sees("shared 3")


async def test_a_press_that_was_not_acknowledged_is_done_once_after_all(host: HostUnderTest, post: str) -> None:
    async with Viewer(host.host.url, post) as viewer:
        await viewer.sees("own 0")
        await viewer.press("Add own", wait=False)
        await viewer.cut()
        await viewer.connect()
        await viewer.sees("own 1")
        await viewer.press("Add own")
        assert "own 2" in viewer.text


async def test_a_press_under_way_while_its_viewer_comes_back_leaves_no_trace_in_the_view_that_goes_on(
    host: HostUnderTest, post: str
) -> None:
    async with Viewer(host.host.url, post) as one, Viewer(host.host.url, post) as two:
        await one.sees("channel here")
        await two.sees("channel here")
        await one.press("Add slowly", wait=False)
        await two.sees("shared 10000")
        await one.cut()
        one._unacknowledged.clear()  # this browser forgot it: whatever shows of it is the old call's
        one._seq = 0
        await one.connect()
        await two.press("Add shared")
        await one.sees("shared 10001")
        await two.press("Let go on")
        await one.sees("shared 11001")  # the old call has ended
        await one.press("Add own")
        await one.sees("shared 11001")
        assert "own 1" in one.text.splitlines()


async def test_however_many_messages_were_missed_they_all_arrive(host: HostUnderTest, post: str) -> None:
    async with Viewer(host.host.url, post) as one, Viewer(host.host.url, post) as two:
        await one.sees("channel here")
        await two.sees("channel here")
        await one.cut()
        await publish(host, 700)
        await one.connect()
        await one.sees("shared 700")
        await two.sees("shared 700")


async def test_messages_that_come_while_an_app_is_slow_wait_in_history(host: HostUnderTest, post: str) -> None:
    async with Viewer(host.host.url, post) as viewer, Viewer(host.host.url, post) as other:
        await viewer.sees("channel here")
        await other.sees("channel here")
        await viewer.press("Add slowly", wait=False)
        await other.sees("shared 10000")
        await publish(host, 300)
        await other.press("Let go on")
        await viewer.sees("shared 11300")


async def test_more_presses_than_may_wait_are_all_counted(host: HostUnderTest, post: str) -> None:
    async with Viewer(host.host.url, post) as viewer, Viewer(host.host.url, post) as other:
        await viewer.sees("channel here")
        await viewer.press("Add slowly", wait=False)
        for _ in range(140):
            await viewer.press("Add own", wait=False)
        await other.press("Let go on")
        await viewer.sees("own 141")
        assert viewer.farewell is None


async def test_a_press_that_never_came_is_not_covered_by_the_acknowledgement_of_a_later_one(
    host: HostUnderTest, post: str
) -> None:
    async with Viewer(host.host.url, post) as viewer:
        await viewer.press("Add own")
        viewer._seq += 1
        [action] = [node[1]["press"] for node in viewer.nodes() if node[1].get("text") == "Add own"]
        viewer._unacknowledged[viewer._seq] = {"type": "press", "action": action}  # lost on its way
        await viewer.press("Add own", wait=False)
        await viewer.until(lambda: viewer.farewell, "a farewell")
        await viewer.connect()
        await viewer.sees("own 3")


async def test_who_was_told_that_a_press_failed_goes_on_after_a_reconnect(host: HostUnderTest, post: str) -> None:
    async with Viewer(host.host.url, post) as viewer:
        await viewer.press("Add own")
        await viewer.press("Crash")
        await viewer.cut()
        await viewer.connect()
        assert (viewer.resumed, viewer.farewell) == (True, None)
        await viewer.press("Add own")
        await viewer.sees("own 2")


async def publish(host: HostUnderTest, count: int) -> None:
    channels = host.host.plugins.provider(REALTIME)
    for _ in range(count):
        await channels.publish(installation_id("tally", "playground"), "tally", b'{"by":1}')


async def test_an_error_in_a_handler_changes_nothing_and_is_told_to_its_viewer_alone(
    host: HostUnderTest, post: str
) -> None:
    async with Viewer(host.host.url, post) as one, Viewer(host.host.url, post) as two:
        await one.press("Add own")
        await one.press("Fail")
        assert [e["type"] for e in one.effects] == ["error"]
        assert "own 1" in one.text
        assert two.effects == []
        await one.press("Add own")
        await one.sees("own 2")


async def test_a_worker_that_dies_costs_no_viewer_its_state(host: HostUnderTest, post: str) -> None:
    async with Viewer(host.host.url, post) as one, Viewer(host.host.url, post) as two:
        await one.press("Add own")
        await two.press("Add own")
        await two.press("Crash")
        assert [e["type"] for e in two.effects] == ["error"]
        for viewer in (one, two):
            await viewer.press("Add own")
            await viewer.sees("own 2")


async def test_a_fault_of_the_host_is_told_to_who_pressed_and_the_view_goes_on(
    host: HostUnderTest, post: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    def faulty(request: ViewRequest) -> bytes:
        raise ValueError("a mistake of ours")

    async with Viewer(host.host.url, post) as viewer:
        await viewer.sees("channel here")
        await viewer.sees("greeting hello")
        await viewer.press("Add own")
        with monkeypatch.context() as patch:
            patch.setattr("showground.views.calls.encode_request", faulty)
            await viewer.press("Add own")
        assert [e["type"] for e in viewer.effects] == ["error"]
        await viewer.press("Add own")
        await viewer.sees("own 2")


async def test_a_form_is_shown_checked_and_taken(host: HostUnderTest, post: str) -> None:
    async with Viewer(host.host.url, post) as viewer:
        await viewer.press("Ask")
        await viewer.submit({})
        assert viewer.effects[-1]["type"] == "form_errors"
        await viewer.submit({"name": "Ada"})
        await viewer.sees("name Ada")


async def test_a_toast_reaches_who_asked_for_it(host: HostUnderTest, post: str) -> None:
    async with Viewer(host.host.url, post) as viewer:
        await viewer.press("Toast")
        assert viewer.effects == [{"type": "toast", "text": "Hello", "appearance": "neutral"}]


async def test_another_host_takes_a_view_up_where_it_was(
    tmp_path: Path, redis_url: str, keys: KeySpace, host: HostUnderTest, post: str
) -> None:
    async with running_host(tmp_path / "other", redis_url, keys.prefix) as other, Viewer(host.host.url, post) as viewer:
        await viewer.sees("channel here")
        await viewer.press("Add own")
        await viewer.press("Add shared")
        await viewer.sees("shared 1")
        await viewer.cut()
        viewer.url = other.host.url
        await viewer.connect()
        assert viewer.resumed
        await viewer.sees("own 1")
        await viewer.sees("shared 1")
        await viewer.press("Add own")
        await viewer.sees("own 2")


async def test_a_view_is_not_given_to_whoever_knows_its_name(host: HostUnderTest, post: str) -> None:
    async with Viewer(host.host.url, post) as owner, Viewer(host.host.url, post) as thief:
        await owner.press("Add own")
        await thief.cut()
        thief.view, thief.rev = owner.view, owner.rev
        await thief.connect()
        assert thief.resumed is False
        assert thief.view != owner.view
        assert "own 0" in thief.text
        await owner.press("Add own")
        await owner.sees("own 2")


async def test_who_says_nothing_for_long_is_let_go_and_finds_everything_on_coming_back(
    host: HostUnderTest, post: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with Viewer(host.host.url, post) as viewer:
        await viewer.press("Add own")
        await viewer.cut()
        with monkeypatch.context() as patch:
            patch.setattr(live, "SILENCE_S", 0.3)
            await viewer.connect()
            await viewer.until(lambda: viewer.farewell, "the end of the connection")
        await viewer.connect()
        assert viewer.resumed
        await viewer.sees("own 1")
