"""The example plugin as an operator gets it: its wheel is built and installed, and a host process finds it by its entry point."""

from __future__ import annotations

import asyncio
import json
import os
import shutil
import signal
import subprocess
import sys
from collections.abc import AsyncIterator, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from showground.testing.waiting import eventually

EXAMPLE = Path(__file__).parents[2] / "examples" / "greeter_plugin"
POST = {"post": {"id": "t3_1", "title": "Hi"}, "author": {"name": "Ada"}}
APPS = "/api/v1/communities/playground/apps"


def install(source: Path, target: Path) -> None:
    """What `pip install ./greeter_plugin` does, into a folder of its own and without asking any index."""
    options = ["--no-deps", "--no-build-isolation", "--no-index", "--quiet", "--disable-pip-version-check"]
    subprocess.run([sys.executable, "-m", "pip", "install", *options, "--target", target, source], check=True)


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the plugin installed in it."""
    folder = tmp_path_factory.mktemp("site")
    source = folder / "source"
    shutil.copytree(EXAMPLE, source)  # hatchling leaves nothing in the repository
    target = folder / "packages"
    install(source, target)
    return target


def environment(*sites: Path) -> dict[str, str]:
    paths = [str(site) for site in sites] + [p for p in [os.environ.get("PYTHONPATH")] if p]
    return {**os.environ, "PYTHONPATH": os.pathsep.join(paths)}


def showground(folder: Path, site: Path, *words: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "showground", *words]
    return subprocess.run(command, cwd=folder, env=environment(site), capture_output=True, text=True, timeout=30)


SETTINGS = """
[host]
port = 0
drain_s = 1.0

[redis]
url = "{redis_url}"
prefix = "{prefix}"

[workers]
isolation = "process"

[providers]
realtime = "local"

[greeter]
greeting = "Welcome"
"""


@contextmanager
def serving(folder: Path, env: dict[str, str]) -> Iterator[subprocess.Popen[bytes]]:
    command = [sys.executable, "-m", "showground", "serve"]
    with (
        (folder / "stderr").open("w") as errors,
        subprocess.Popen(command, cwd=folder, env=env, stderr=errors) as process,
    ):
        try:
            yield process
        finally:
            process.send_signal(signal.SIGTERM)
            process.wait(timeout=20)


@pytest.fixture
async def host(
    tmp_path: Path, site: Path, redis_url: str, keys: Any, permanent_keys: list[str]
) -> AsyncIterator[tuple[Path, aiohttp.ClientSession]]:
    """A host process with the plugin, in its folder, and a client with its token."""
    permanent_keys.append("greeter:greeted")
    folder = tmp_path / "host"
    folder.mkdir()
    (folder / "showground.toml").write_text(SETTINGS.format(redis_url=redis_url, prefix=keys.prefix))
    with serving(folder, environment(site)) as process:
        told = folder / "stderr"
        await eventually(lambda: "is ready at" in told.read_text() or process.poll() is not None)
        assert process.poll() is None, told.read_text()
        reach = json.loads((folder / ".showground" / "host.json").read_text())
        headers = {"Authorization": f"Bearer {reach['token']}"}
        async with aiohttp.ClientSession(reach["url"], headers=headers) as client:
            yield folder, client


async def test_an_installed_plugin_serves_an_app_over_http_websocket_and_the_command_line(
    host: tuple[Path, aiohttp.ClientSession], site: Path, welcome_app: Path
) -> None:
    folder, client = host
    async with client.get("/readyz") as response:
        facts = (await response.json())["facts"]
    assert (facts["provider_realtime"], facts["provider_greeter"]) == ("local", "redis")

    for words in (["upload", str(welcome_app)], ["install", "playground", "welcome"]):
        done = await asyncio.to_thread(showground, folder, site, *words)
        assert done.returncode == 0, done.stderr
    async with client.ws_connect(f"{APPS}/welcome/channels/doors") as doors:
        assert (await doors.receive_json())["type"] == "hello"
        async with client.post(f"{APPS}/welcome/invoke/PostCreate", json=POST) as response:
            assert await response.json() == "Welcome, Ada! You are number 1."
        message = await doors.receive_json(timeout=30)
        assert message["data"] == {"says": "Welcome, Ada! You are number 1."}
    async with client.get(f"{APPS}/welcome/greeter") as response:
        assert await response.json() == {"greeted": 1, "invocations_here": 1}
    told = await asyncio.to_thread(showground, folder, site, "greeter", "playground", "welcome")
    assert told.stdout == "welcome greeted 1 in playground\n"


def test_a_bundle_is_checked_without_a_host_although_its_plugin_asks_one(site: Path, welcome_app: Path) -> None:
    done = showground(welcome_app.parent, site, "check", str(welcome_app))
    assert done.returncode == 0, done.stderr


def test_two_distributions_that_bring_one_entry_point_stop_the_host_and_are_both_named(
    tmp_path: Path, site: Path
) -> None:
    rival = tmp_path / "rival.dist-info"
    (tmp_path / "rival_greeter.py").write_text("")
    rival.mkdir()
    (rival / "METADATA").write_text("Metadata-Version: 2.1\nName: rival\nVersion: 1.0\n")
    (rival / "entry_points.txt").write_text("[showground.plugins]\ngreeter = rival_greeter\n")
    env = environment(site, tmp_path)
    command = [sys.executable, "-m", "showground", "serve", "--port", "0"]
    done = subprocess.run(command, cwd=tmp_path, env=env, capture_output=True, text=True, timeout=30)
    assert done.returncode == 1
    assert "two plugins are called 'greeter'" in done.stderr
    assert "showground-greeter" in done.stderr
    assert "rival" in done.stderr
    assert "Traceback" not in done.stderr


def test_a_misspelt_hook_stops_the_host_and_is_named(tmp_path: Path) -> None:
    info = tmp_path / "typo.dist-info"
    info.mkdir()
    (tmp_path / "typo_plugin.py").write_text(
        "from showground.hookspecs import hookimpl\n\n@hookimpl\ndef instaled(installation):\n    pass\n"
    )
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: typo\nVersion: 1.0\n")
    (info / "entry_points.txt").write_text("[showground.plugins]\ntypo = typo_plugin\n")
    command = [sys.executable, "-m", "showground", "serve", "--port", "0"]
    env = environment(tmp_path)
    done = subprocess.run(command, cwd=tmp_path, env=env, capture_output=True, text=True, timeout=30)
    assert done.returncode == 1
    assert "instaled" in done.stderr
    assert "typo" in done.stderr
    assert "installed" in done.stderr, "the known hooks are listed"
    assert "Traceback" not in done.stderr
