"""`serve` and `demo` as a newcomer meets them: real processes that start, refuse, stop, are killed, and come back."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import socket
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from tests.runtime.cli.processes import Running, run, running

from showground.testing.waiting import eventually

ROOT = Path(__file__).parents[3]
APPS = ROOT / "apps"


def _processes() -> Iterator[int]:
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            yield int(entry.name)


def family(pid: int) -> set[int]:
    """*pid* and all that descend from it now."""
    parents: dict[int, int] = {}
    for child in _processes():
        try:
            fields = Path(f"/proc/{child}/stat").read_text("utf-8", "replace").rpartition(")")[2].split()
        except OSError:
            continue
        if fields[0] not in "ZX":
            parents[child] = int(fields[1])
    found = {pid}
    while more := {child for child, parent in parents.items() if parent in found} - found:
        found |= more
    return found


def alive(pids: set[int]) -> set[int]:
    found = set()
    for pid in pids:
        try:
            fields = Path(f"/proc/{pid}/stat").read_text("utf-8", "replace").rpartition(")")[2].split()
        except OSError:
            continue
        if fields[0] not in "ZX":
            found.add(pid)
    return found


@pytest.fixture
def home(tmp_path: Path) -> Path:
    home = tmp_path / "home"
    home.mkdir()
    return home


@pytest.fixture
def two_apps(tmp_path: Path) -> Path:
    """A folder of examples that is quick to install."""
    folder = tmp_path / "apps"
    folder.mkdir()
    for name in ("counter_trigger", "synced_progress_bar"):
        (folder / name).symlink_to(APPS / name)
    return folder


def demo(data_dir: Path, apps: Path, home: Path, *more: str) -> Any:
    arguments = ("demo", "--port", "0", "--apps", str(apps), "--data-dir", str(data_dir), *more)
    return running(*arguments, HOME=str(home))


async def installed(data_dir: Path) -> list[str]:
    listed = await run("list", "playground", "--json", "--data-dir", str(data_dir))
    assert listed.code == 0, listed.err
    return [i["app"] for i in listed.json["installations"]]


async def ready(command: Running) -> None:
    await command.says("the next start has all data")


async def test_a_demo_shows_all_and_ctrl_c_leaves_no_process_and_all_data(
    tmp_path: Path, two_apps: Path, home: Path
) -> None:
    data = tmp_path / "data"
    emit = ("emit", "PostCreate", "--community", "playground", "--wait", "10", "--json", "--data-dir", str(data))
    post = ("--data", '{"post": {"id": "t3_%s", "title": "Hi"}}')
    async with demo(data, two_apps, home) as command:
        await ready(command)
        processes = await asyncio.to_thread(family, command.process.pid)
        assert len(processes) >= 3  # the host, the embedded Redis, the zygote
        assert await installed(data) == ["counter-trigger", "synced-progress-bar"]
        answer = await run(*emit, post[0], post[1] % "1")
        counted = answer.json["events"][0]["deliveries"][0]["result"]
        host = json.loads(await asyncio.to_thread((data / "host.json").read_text))
        assert (data / "host.json").stat().st_mode & 0o777 == 0o600
        page = await asyncio.to_thread(fetch, host["url"] + "/demo")
        assert "showground" in page.lower()
        assert await command.stop() == 0
        await eventually(lambda: not alive(processes))
    assert not (data / "host.json").exists()
    assert os.listdir(home) == []
    async with demo(data, two_apps, home) as command:
        await ready(command)
        answer = await run(*emit, post[0], post[1] % "2")
        assert answer.json["events"][0]["deliveries"][0]["result"] == counted + 1
        assert await command.stop(signal.SIGTERM) == 0


async def test_after_a_kill_the_next_start_has_all_data_and_no_process_is_left(
    tmp_path: Path, two_apps: Path, home: Path
) -> None:
    data = tmp_path / "data"
    async with demo(data, two_apps, home) as command:
        await ready(command)
        before = await asyncio.to_thread(family, command.process.pid)
        assert await command.stop(signal.SIGKILL) == -signal.SIGKILL
        await eventually(lambda: not alive(before))
    stale = await run("list", "--data-dir", str(data))
    assert stale.code == 1
    assert "no host answers" in stale.err
    async with demo(data, two_apps, home) as command:
        await ready(command)
        assert await installed(data) == ["counter-trigger", "synced-progress-bar"]
        assert await command.stop() == 0


async def test_a_port_that_is_taken_is_named_with_the_remedy(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        refused = await run("serve", "--port", str(port), "--data-dir", str(tmp_path), "--json")
    assert refused.code == 1
    assert (refused.json["error"]["code"], refused.json["error"]["where"]) == ("misconfigured", "host.port")
    assert "--port" in refused.json["error"]["remedy"]


async def test_a_second_host_on_one_data_folder_is_refused_and_the_first_runs_on(tmp_path: Path) -> None:
    data = tmp_path / "data"
    async with running("serve", "--port", "0", "--data-dir", str(data)) as first:
        await first.says("ready at")
        refused = await run("serve", "--port", "0", "--data-dir", str(data))
        assert refused.code == 1
        assert "another host uses this data folder" in refused.err
        assert (await run("list", "--data-dir", str(data))).code == 0
        assert await first.stop() == 0


async def test_a_second_signal_ends_a_host_that_still_drains(tmp_path: Path) -> None:
    arguments = ("serve", "--port", "0", "--data-dir", str(tmp_path))
    async with running(*arguments, SHOWGROUND_HOST_DRAIN_S="300") as host:  # longer than anybody waits here
        await host.says("ready at")
        found = json.loads(await asyncio.to_thread((tmp_path / "host.json").read_text))
        reader, writer = await asyncio.open_connection("127.0.0.1", int(found["url"].rpartition(":")[2]))
        # A request that is under way until its body has come: the host asks for that, so it has begun.
        writer.write(
            b"POST /api/v1/events HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Type: application/cloudevents+json\r\n"
            b"Content-Length: 1000\r\nExpect: 100-continue\r\nAuthorization: Bearer %s\r\n\r\n"
            % found["token"].encode()
        )
        assert b" 100 " in await reader.readline()
        host.process.send_signal(signal.SIGTERM)
        await host.says("Stopping")
        assert await host.stop(signal.SIGTERM) == 1
        writer.close()


async def test_settings_with_faults_are_told_all_at_once(tmp_path: Path) -> None:
    settings = tmp_path / "showground.toml"
    settings.write_text('[host]\nport = "many"\n[redis]\nshards = "few"\n')
    refused = await run("serve", "--settings", str(settings), "--data-dir", str(tmp_path / "data"))
    assert refused.code == 1
    assert all(words in refused.err for words in ("host", "redis", "shards"))
    assert "Traceback" not in refused.err


def fetch(url: str) -> str:
    from urllib.request import urlopen

    with urlopen(url, timeout=10) as answer:
        return str(answer.read().decode())
