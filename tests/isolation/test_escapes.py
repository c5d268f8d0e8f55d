"""Attempts to get out of a confined worker, from inside, as an app would make them. None may succeed."""

import asyncio
import json
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from showground.clock import SystemClock
from showground.errors import ShowgroundError
from showground.escapes import Outcome, attempt_escapes, names
from showground.supervisor import choose
from showground.testing.waiting import eventually
from showground.testing.workbench import Workbench
from showground.worker import landlock
from showground.worker.spawning import Level


@pytest.fixture
async def confined(tmp_path: Path) -> AsyncIterator[Workbench]:
    async with Workbench(tmp_path, level="confined") as bench:
        yield bench


def through(outcomes: list[Outcome]) -> dict[str, str]:
    """The attempts that succeeded, or could not be made, and what they got."""
    return {outcome.name: outcome.text for outcome in outcomes if not outcome.held}


@pytest.mark.parametrize("group", names())
async def test_no_attempt_gets_out(group: str) -> None:
    outcomes = await attempt_escapes(SystemClock(), [group])
    assert [outcome.name for outcome in outcomes] == list(names()[group])
    assert through(outcomes) == {}


@pytest.mark.parametrize(
    ("group", "open_there"),
    [
        ("files", {"read a file of the host", "truncate it", "read /etc/passwd", "write into /tmp"}),
        ("network", {"TCP to the host", "UDP to the host", "Unix socket of a service", "datagram pair redirected"}),
        ("processes", {"run a program", "run a program from memory", "leave the process group"}),
        ("kernel", {"user namespace"}),
    ],
)
async def test_the_attempts_are_real_they_succeed_where_there_are_no_walls(group: str, open_there: set[str]) -> None:
    outcomes = await attempt_escapes(SystemClock(), [group], level="process")
    assert open_there <= {outcome.name for outcome in outcomes if outcome.text.startswith("got out")}


async def test_what_was_not_attempted_in_time_did_not_hold() -> None:
    outcomes = await attempt_escapes(SystemClock(), ["kernel"], deadline_s=0)
    assert [outcome.held for outcome in outcomes] == [False] * len(names()["kernel"])


async def test_the_suite_leaves_nothing_behind_even_where_everything_gets_out() -> None:
    def left() -> set[str]:
        return {path.name for place in ("/tmp", "/dev/shm") for path in Path(place).glob("showground-escape*")}

    before = left()
    await attempt_escapes(SystemClock(), ["files", "limits"], level="process")
    await eventually(lambda: left() <= before)  # others may be at it here, too, and clear away after themselves


def test_the_suite_has_at_least_forty_attempts() -> None:
    assert sum(len(attempts) for attempts in names().values()) >= 40


async def test_an_app_works_as_usual_behind_the_walls(confined: Workbench) -> None:
    async def double(value: int) -> int:
        return value * 2

    confined.members.members["math"] = ({"double": double}, None)
    bundle = confined.bundle("""
        import asyncio, json, zoneinfo

        async def run(invocation, payload, call):
            import decimal, sqlite3  # a shared library that was not loaded before
            here = zoneinfo.ZoneInfo("Europe/Berlin")
            with open("main.py") as own: assert "async def run" in own.read()
            in_thread = await asyncio.to_thread(lambda: 7)
            print("still heard")
            return json.dumps([await call("math", "double", 21), in_thread, str(here)]).encode()
    """)

    assert json.loads(await confined.invoke(bundle)) == [42, 7, "Europe/Berlin"]
    assert confined.said("stdout") == ["still heard"]


async def test_two_workers_cannot_touch_each_other(confined: Workbench) -> None:
    source = """
        import os

        async def run(invocation, payload, call):
            if invocation.name == "pid": return str(os.getpid()).encode()
            found = []
            for deed in (lambda pid: os.kill(pid, 9), lambda pid: open(f"/proc/{pid}/maps").read()):
                try: deed(int(payload)); found.append("done")
                except OSError: found.append("held")
            return " ".join(found).encode()
    """
    victim, attacker = confined.bundle(source, "victim"), confined.bundle(source, "attacker")
    pid = await confined.invoke(victim, "pid")

    assert await confined.invoke(attacker, "attack", pid) == b"held held"
    assert await confined.invoke(victim, "pid") == pid


@pytest.mark.parametrize("wanted", ["auto", "confined"])
async def test_the_self_test_passes_here(wanted: str) -> None:
    isolation = await choose("auto" if wanted == "auto" else "confined", SystemClock())
    level: Level = "confined"
    assert isolation.level == level
    assert isolation.reason == ""
    assert len(isolation.walls) >= 7
    assert all(isolation.walls.values())


@pytest.mark.skipif(landlock.version() == 0, reason="needs Landlock, to take it away")
async def test_without_a_wall_auto_warns_and_confined_fails_closed(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """The wall is taken away from the self-test's answer; the fork itself can't be patched."""
    from showground.supervisor import isolation

    async def broken(_: object) -> dict[str, bool]:
        await asyncio.sleep(0)
        return {"network": False, "files of the machine": True}

    monkeypatch.setattr(isolation, "self_test", broken)

    chosen = await isolation.choose("auto", SystemClock())
    assert (chosen.level, chosen.reason) == ("process", "these walls do not hold: network")
    assert "Install only apps that you trust" in caplog.text
    with pytest.raises(ShowgroundError, match="network") as caught:
        await isolation.choose("confined", SystemClock())
    assert caught.value.code == "misconfigured"
