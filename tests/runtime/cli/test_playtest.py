"""`showground playtest` as an author uses it: a real process that watches real files, a real host, an open post."""

from __future__ import annotations

import json
import random
import socket
from collections.abc import AsyncIterator
from contextlib import AbstractAsyncContextManager, suppress
from pathlib import Path

import pytest
from tests.runtime.cli.processes import Running, running

from showground.bundle import archive
from showground.cli.playtest import Playtest
from showground.cli.session import HttpSession
from showground.keys import InstallationId, KeySpace
from showground.redis.api import Redis
from showground.testing.host import HostUnderTest, running_host
from showground.testing.viewer import Viewer
from showground.testing.waiting import eventually

CODE = """
from showground import Devvit
from showground.blocks import blocks, text, vstack

@Devvit.add_custom_post_type("Sign")
def sign(context):
    return blocks(vstack(text({words!r})))

@Devvit.add_trigger("AppUpgrade")
def upgraded(event, context):
    print({words!r}, "has taken over")
"""


@pytest.fixture
async def host(tmp_path: Path, redis_url: str, keys: KeySpace) -> AsyncIterator[HostUnderTest]:
    async with running_host(tmp_path / "host", redis_url, keys.prefix) as host:
        yield host


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    folder = tmp_path / "sign"
    folder.mkdir()
    (folder / "app.json").write_text(json.dumps({"name": "sign", "version": "1.0.0"}))
    save(folder, "first")
    return folder


def save(folder: Path, words: str) -> None:
    put(folder, CODE.format(words=words))


def put(folder: Path, code: str) -> None:
    """At one stroke: a file that is cut first and written then would be two saves to who looks in between."""
    aside = folder.with_suffix(".aside")
    aside.write_text(code)
    aside.replace(folder / "main.py")


def free_port() -> int:
    """One that the kernel gives to nobody by itself, so that it stays free while its host is away."""
    while True:
        with suppress(OSError), socket.create_server(("127.0.0.1", random.randrange(20_000, 32_768))) as found:
            return int(found.getsockname()[1])


def playtest(host: HostUnderTest, folder: Path) -> AbstractAsyncContextManager[Running]:
    arguments = ("--json", "playtest", str(folder), "playground")
    return running(*arguments, SHOWGROUND_URL=host.host.url, SHOWGROUND_TOKEN=host.host.root_token)


async def version(host: HostUnderTest) -> str:
    return str((await host.call("GET", "/api/v1/communities/playground/apps/sign"))["version"])


async def versions(host: HostUnderTest) -> list[str]:
    return [v["version"] for v in (await host.call("GET", "/api/v1/apps/sign"))["versions"]]


async def test_an_open_post_shows_what_was_saved_and_a_broken_save_changes_nothing(
    host: HostUnderTest, folder: Path
) -> None:
    async with playtest(host, folder) as command:
        assert (await command.next(type="installed"))["version"] == "1.0.0-playtest.1"
        async with Viewer(host.host.url, await host.submit_post("sign")) as viewer:
            await viewer.sees("first")
            save(folder, "second")
            await command.next(type="installed", version="1.0.0-playtest.2")
            await viewer.sees("second")

            put(folder, "import nowhere\nthis is no Python\n")
            faults = await command.next(type="faults")
            assert faults["error"]["details"][0]["where"] == "main.py:2"
            put(folder, "raise RuntimeError('at import')\n")
            faults = await command.next(type="faults")
            assert "at import" in json.dumps(faults["error"])
            assert faults["running"] == await version(host) == "1.0.0-playtest.2"

            save(folder, "third")
            await command.next(type="installed", version="1.0.0-playtest.3")
            await viewer.sees("third")
        assert await command.stop() == 0
    assert await version(host) == "1.0.0-playtest.3"


async def test_the_log_is_shown_meanwhile(host: HostUnderTest, folder: Path, redis: Redis, keys: KeySpace) -> None:
    channel = keys.of(InstallationId("sign:playground"), "logs")

    async def is_followed() -> bool:
        return bool((await redis.call("PUBSUB", "NUMSUB", channel))[1])

    async with playtest(host, folder) as command:
        await command.next(type="installed")
        await eventually(is_followed)
        save(folder, "second")
        assert (await command.next(type="log"))["text"] == "second has taken over"


async def test_it_ends_with_the_way_back_to_what_ran_before(host: HostUnderTest, folder: Path) -> None:
    await host.install(folder)
    async with playtest(host, folder) as command:
        await command.next(type="installed")
        command.process.send_signal(2)
        end = await command.next(type="end")
        assert (end["before"], end["version"]) == ("1.0.0", "1.0.0-playtest.1")
    # A playtest is never the newest where there is a release.
    await host.call("PUT", "/api/v1/communities/playground/apps/sign")
    assert await version(host) == "1.0.0"


async def test_many_saves_leave_few_versions_and_the_next_playtest_counts_on(host: HostUnderTest, folder: Path) -> None:
    async with playtest(host, folder) as command:
        await command.next(type="installed")
        for number in range(2, 6):
            save(folder, f"words {number}")
            await command.next(type="installed", version=f"1.0.0-playtest.{number}")
        await command.stop()
    assert await versions(host) == ["1.0.0-playtest.4", "1.0.0-playtest.5"]
    async with playtest(host, folder) as command:
        await command.next(type="installed", version="1.0.0-playtest.6")


async def test_a_host_that_is_away_is_waited_for(tmp_path: Path, redis_url: str, keys: KeySpace, folder: Path) -> None:
    port = free_port()
    async with (
        running_host(tmp_path / "host", redis_url, keys.prefix, host={"port": port}) as first,
        playtest(first, folder) as command,
    ):
        await command.next(type="installed")
        await first.host.__aexit__(None, None, None)
        save(folder, "second")
        assert (await command.next(type="faults"))["error"]["code"] in ("not_ready", "internal")
        async with running_host(tmp_path / "host", redis_url, keys.prefix, host={"port": port}) as second:
            installed = await command.next(type="installed")
            assert await version(second) == installed["version"] != "1.0.0-playtest.1"


def test_a_file_that_is_taken_away_while_the_folder_is_read_has_it_read_again(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Editors write beside a file and rename, and remove what they wrote."""

    def vanished(_: Path) -> str:
        raise FileNotFoundError(folder / "main.py~")

    monkeypatch.setattr(archive, "digest", vanished)
    rounds = Playtest(HttpSession(None, None, folder, as_json=True), folder, "playground")
    rounds.play()
    assert rounds.unsettled
