"""Attempts to get out of a confined worker, from inside, as an app would make them. None may succeed."""

import ast
import asyncio
import json
import os
import socket
import subprocess
from collections.abc import AsyncIterator, Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from showground.clock import SystemClock
from showground.errors import ShowgroundError
from showground.supervisor import choose
from showground.testing.workbench import Bundle, Workbench
from showground.worker import landlock
from showground.worker.spawning import Level

SOURCE = Path(__file__).with_name("attempts.py")

DEADLY = {"more memory than allowed"}
"""Attempts that end the worker, and nothing else."""


def attempts() -> dict[str, list[str]]:
    """Group to names, read from the source so that nothing of it runs here."""
    tree = ast.parse(SOURCE.read_text())
    [table] = [n.value for n in tree.body if isinstance(n, ast.Assign) and ast.unparse(n.targets[0]) == "ATTEMPTS"]
    assert isinstance(table, ast.Dict)
    return {
        ast.literal_eval(group): [ast.literal_eval(key) for key in names.keys if key is not None]
        for group, names in zip(table.keys, table.values, strict=True)
        if group is not None and isinstance(names, ast.Dict)
    }


GROUPS = attempts()


@pytest.fixture
def prizes(tmp_path: Path) -> Iterator[dict[str, object]]:
    """What an attacker would want, with permissions that hold nobody back: the walls must."""
    place = tmp_path / "host"
    place.mkdir()
    secret = place / "host.json"
    secret.write_text('{"token": "secret"}')
    secret.chmod(0o666)
    place.chmod(0o777)
    with ExitStack() as stack:
        tcp = stack.enter_context(socket.create_server(("127.0.0.1", 0)))
        stream = stack.enter_context(socket.socket(socket.AF_UNIX))
        stream.bind(str(place / "redis.sock"))
        stream.listen()
        datagram = stack.enter_context(socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM))
        datagram.bind(str(place / "log.sock"))
        for name in ("redis.sock", "log.sock"):
            (place / name).chmod(0o777)
        abstract = stack.enter_context(socket.socket(socket.AF_UNIX))
        abstract.bind(f"\0showground-{os.getpid()}")
        abstract.listen()
        # another process of the host's user; attempts that succeed without walls stop it, or limit it to nothing
        victim = stack.enter_context(subprocess.Popen(["sleep", "60"], env={"TOKEN": "secret"}))
        stack.callback(victim.kill)
        yield {
            "secret": str(secret),
            "other": str(place / "host.json"),
            "tcp": tcp.getsockname()[1],
            "unix": str(place / "redis.sock"),
            "datagram": str(place / "log.sock"),
            "abstract": f"showground-{os.getpid()}",
            "victim": victim.pid,
        }
    for left in ("/tmp/showground-escape", "/dev/shm/showground-escape", "/dev/shm/link"):
        Path(left).unlink(missing_ok=True)


async def holes(bench: Workbench, bundle: Bundle, group: str, prizes: dict[str, object]) -> dict[str, str]:
    """The attempts of *group* that succeeded, and what they got. One that could not be made at all counts too."""
    found = {}
    for name in GROUPS[group]:
        try:
            answer = await bench.invoke(bundle, f"{group}/{name}", json.dumps(prizes).encode())
        except ShowgroundError as error:
            if name not in DEADLY or error.code != "app_error":
                found[name] = f"not made: {error}"
            continue
        if not answer.startswith(b"held"):
            found[name] = answer.decode()
    return found


def untouched(prizes: dict[str, object]) -> bool:
    return Path(str(prizes["secret"])).read_text() == '{"token": "secret"}'


@pytest.fixture
async def confined(tmp_path: Path) -> AsyncIterator[Workbench]:
    async with Workbench(tmp_path, level="confined") as bench:
        yield bench


@pytest.mark.parametrize("group", GROUPS)
async def test_no_attempt_gets_out(confined: Workbench, prizes: dict[str, object], group: str) -> None:
    bundle = confined.bundle(SOURCE.read_text(), memory_mb=64)
    found = await holes(confined, bundle, group, prizes)
    assert found == {}
    assert untouched(prizes)


@pytest.mark.parametrize(
    ("group", "open_there"),
    [
        ("files", {"read a file of the host", "truncate it", "read /etc/passwd", "write into /tmp"}),
        ("network", {"TCP to the host", "UDP to the host", "Unix socket of a service", "datagram pair redirected"}),
        ("processes", {"run a program", "run a program from memory", "leave the process group"}),
        ("kernel", {"user namespace"}),
    ],
)
async def test_the_attempts_are_real_they_succeed_where_there_are_no_walls(
    tmp_path: Path, prizes: dict[str, object], group: str, open_there: set[str]
) -> None:
    async with Workbench(tmp_path, level="process") as bench:
        bundle = bench.bundle(SOURCE.read_text(), memory_mb=64)
        assert open_there <= (await holes(bench, bundle, group, prizes)).keys()


def test_the_suite_has_at_least_forty_attempts() -> None:
    assert sum(len(names) for names in GROUPS.values()) >= 40


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
