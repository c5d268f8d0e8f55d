"""Capability calls from real workers: checked on the host's side, bounded, cancelled, and answered with one error each."""

import asyncio
import json
from collections.abc import AsyncIterator, Sequence
from pathlib import Path
from typing import cast

import pytest

from showground.clock import SystemClock
from showground.errors import ShowgroundError
from showground.hookspecs import Extend
from showground.model import AppVersion, Invocation
from showground.supervisor import Broker, Supervisor
from showground.testing.workbench import PLAIN, Bundle, Workbench
from showground.worker.spawning import Level

CALLER = """
    import asyncio, json

    six_refused = asyncio.Event()

    async def run(invocation, payload, call):
        if invocation.name == "six refused": await six_refused.wait(); return b"null"
        calls = json.loads(payload)
        match invocation.name:
            case "each": return json.dumps([await call(*c) for c in calls]).encode()
            case "all":
                refused = []
                async def one(c):
                    try: return await call(*c)
                    except Exception as error:
                        refused.append(error.code)
                        if len(refused) == 6: six_refused.set()
                        return error.code
                return json.dumps(await asyncio.gather(*map(one, calls))).encode()
            case "give up" | "leave":
                first = asyncio.ensure_future(call(*calls[0]))
                await call(*calls[1])
                if invocation.name == "give up": first.cancel()
        return b"null"
"""


@pytest.fixture(params=["process", "none"])
async def bench(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[Workbench]:
    """Both executors keep the same promises."""
    async with Workbench(tmp_path, level=cast("Level", request.param)) as bench:
        yield bench


async def ask(bench: Workbench, bundle: Bundle, *calls: Sequence[object], name: str = "each") -> object:
    return json.loads(await bench.invoke(bundle, name, json.dumps(calls).encode()))


async def test_arguments_and_results_cross_unchanged(bench: Workbench) -> None:
    async def echo(*args: object) -> list[object]:
        return list(args)

    bench.members.members["echo"] = ({"back": echo}, None)
    values = [None, True, -1, 2**40, 1.5, "ü", [1, [2]], {"a": {"b": None}}]

    assert await ask(bench, bench.bundle(CALLER), ["echo", "back", *values]) == [values]


async def test_the_context_hook_is_asked_once_and_only_by_those_who_call(bench: Workbench) -> None:
    async def one() -> int:
        return 1

    bench.members.members["m"] = ({"one": one}, None)
    bundle = bench.bundle(CALLER)

    assert await ask(bench, bundle) == []
    assert bench.members.asked == 0
    assert await ask(bench, bundle, ["m", "one"], ["m", "one"]) == [1, 1]
    assert bench.members.asked == 1


@pytest.mark.parametrize(
    ("needs", "message"),
    [
        ("redis", "Redis is not enabled. You can enable it by passing `redis=True` to `Devvit.configure`"),
        ("scheduler", "Scheduler is not enabled. You can enable it by calling `Devvit.add_scheduler_job`"),
        ("settings", "Settings must first be configured with `Devvit.add_settings` before they can be accessed"),
    ],
)
async def test_a_capability_that_was_not_configured_is_refused_in_devvits_words(
    bench: Workbench, needs: str, message: str
) -> None:
    called = []

    async def get() -> None:
        called.append(1)

    bench.members.members["member"] = ({"get": get}, needs)

    with pytest.raises(ShowgroundError) as caught:
        await ask(bench, bench.bundle(CALLER), ["member", "get"])
    assert (caught.value.code, caught.value.message) == ("not_configured", message)
    assert called == []
    await ask(bench, bench.bundle(CALLER, capabilities=frozenset({needs})), ["member", "get"])
    assert called == [1]


async def test_a_member_or_method_that_is_not_there_is_named(bench: Workbench) -> None:
    bench.members.members["m"] = ({}, None)
    for call in (["nothing", "get"], ["m", "__class__"]):
        with pytest.raises(ShowgroundError, match=f"no {call[0]}.{call[1]}") as caught:
            await ask(bench, bench.bundle(CALLER), call)
        assert caught.value.code == "not_found"


async def test_what_a_plugin_refuses_travels_whole(bench: Workbench) -> None:
    async def send() -> None:
        raise ShowgroundError("rate_limited", "too fast", "here", "Slow down.", retry_after=0.25)

    bench.members.members["m"] = ({"send": send}, None)

    with pytest.raises(ShowgroundError) as caught:
        await ask(bench, bench.bundle(CALLER), ["m", "send"])
    assert (
        caught.value.to_json()
        == ShowgroundError("rate_limited", "too fast", "here", "Slow down.", retry_after=0.25).to_json()
    )


async def test_a_plugins_accident_is_told_to_the_host_and_not_to_the_app(
    bench: Workbench, caplog: pytest.LogCaptureFixture
) -> None:
    async def fail() -> None:
        raise RuntimeError("password is hunter2")

    bench.members.members["m"] = ({"fail": fail}, None)

    with pytest.raises(ShowgroundError) as caught:
        await ask(bench, bench.bundle(CALLER), ["m", "fail"])
    assert caught.value.code == "plugin_error"
    assert "context.m.fail" in caught.value.message
    assert "hunter2" not in str(caught.value)
    assert "hunter2" in caplog.text


async def test_the_sixty_fifth_open_call_is_refused_and_the_others_are_served(bench: Workbench) -> None:
    opened = asyncio.Event()

    async def wait() -> str:
        await opened.wait()
        return "served"

    bench.members.members["m"] = ({"wait": wait}, None)
    bundle = bench.bundle(CALLER)

    async def open_late() -> None:
        await bench.invoke(bundle, "six refused")
        opened.set()

    answers, _ = await asyncio.gather(ask(bench, bundle, *[["m", "wait"] for _ in range(70)], name="all"), open_late())

    assert answers == ["served"] * 64 + ["overloaded"] * 6


@pytest.mark.parametrize("way", ["give up", "leave"])
async def test_a_call_that_nobody_awaits_any_more_is_cancelled(bench: Workbench, way: str) -> None:
    began, cancelled = asyncio.Event(), asyncio.Event()

    async def wait() -> None:
        began.set()
        try:
            await asyncio.Event().wait()
        except asyncio.CancelledError:
            cancelled.set()
            raise

    if bench.supervisor.level == "none" and way == "leave":
        pytest.skip("in the host's own process, what a handler leaves running is the debugger's to see")
    bench.members.members["m"] = ({"wait": wait, "begun": began.wait}, None)

    await ask(bench, bench.bundle(CALLER), ["m", "wait"], ["m", "begun"], name=way)

    await asyncio.wait_for(cancelled.wait(), 10)


async def test_two_plugins_cannot_share_a_member(tmp_path: Path) -> None:
    class Twice:
        def context(self, invocation: Invocation, app: AppVersion, extend: Extend, *_: object) -> None:
            extend("m", {})
            extend("m", {})

    async with (
        Workbench(tmp_path) as bench,
        Supervisor(Broker(Twice()), SystemClock(), bench.logs.append, loader=PLAIN) as supervisor,
    ):
        bundle = bench.bundle(CALLER)
        with pytest.raises(ShowgroundError, match=r"two plugins add context\.m"):
            await supervisor.invoke(bundle.version, bundle.folder, bench.invocation(bundle, "each"), b'[["m", "get"]]')
