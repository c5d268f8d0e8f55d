"""Each command against a real host: what it prints for people and for machines, and how it exits."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from importlib import import_module
from pathlib import Path

import pytest
from tests.runtime.cli.processes import Ended, on, run, running

from showground.cli import catalogue
from showground.keys import KeySpace
from showground.testing.bundles import write_bundle
from showground.testing.host import HostUnderTest, running_host

CODE = """
from showground import Devvit

Devvit.configure(redis=True, realtime=True)
Devvit.add_settings([
    {"type": "string", "name": "greeting", "label": "Greeting"},
    {"type": "string", "name": "api-key", "label": "Key", "scope": "app", "is_secret": True},
])

@Devvit.add_scheduler_job("tick")
async def tick(event, context):
    print("tick, with", await context.settings.get("api-key"))

@Devvit.add_trigger("PostCreate", max_attempts=1)
async def post(event, context):
    print("a post", event.post.title)
    if event.post.title == "bad":
        raise ValueError("I don't like it")
    await context.redis.hset("titles", mapping={event.post.id: event.post.title})
    await context.realtime.send("news", {"title": event.post.title})
    return event.post.title
"""
HERE = ("--community", "playground", "--app", "many")


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return write_bundle(tmp_path / "many", CODE, jobs=[{"name": "tick", "cron": "0 3 * * *"}])


@pytest.fixture
async def host(tmp_path: Path, redis_url: str, keys: KeySpace, folder: Path) -> AsyncIterator[HostUnderTest]:
    async with running_host(tmp_path / "host", redis_url, keys.prefix) as host:
        await host.install(folder)
        yield host


def emit(title: str, *more: str) -> tuple[str, ...]:
    data = json.dumps({"post": {"id": "t3_1", "title": title}})
    return ("emit", "PostCreate", "--community", "playground", "--data", data, "--wait", "10", *more)


def code(ended: Ended) -> str:
    """The code of the one JSON document that a failure prints."""
    assert ended.code == 1
    return str(ended.json["error"]["code"])


async def test_versions_come_and_go(host: HostUnderTest, folder: Path) -> None:
    (folder / "app.json").write_text(json.dumps({"name": "many", "version": "1.1.0"}))
    made = await on(host, "upload", str(folder))
    assert made.out.startswith("many 1.1.0 is uploaded (")
    assert (await on(host, "install", "playground", "many")).out == "many 1.1.0 is installed in playground\n"
    assert "many  1.0.0, 1.1.0  installed in playground" in (await on(host, "list")).out
    assert (await on(host, "list", "playground", "--json")).json["installations"][0]["version"] == "1.1.0"
    assert (await on(host, "rollback", "playground", "many")).out == "many in playground is back at 1.0.0\n"
    assert (await on(host, "uninstall", "playground", "many", "--json")).json == {"uninstalled": "many:playground"}
    assert (await on(host, "list", "playground")).out == "nothing is installed in playground\n"


async def test_what_is_not_there_or_not_right_is_told_clearly(host: HostUnderTest, tmp_path: Path) -> None:
    assert code(await on(host, "install", "playground", "nothing", "--json")) == "not_found"
    assert code(await on(host, "install", "playground", "many@7.0.0", "--json")) == "not_found"
    assert code(await on(host, "uninstall", "elsewhere", "many", "--json")) == "not_found"
    wrong = await on(host, "emit", "PostCreate", "--community", "playground", "--data", '{"post": {}}', "--json")
    assert (code(wrong), wrong.json["error"]["details"][0]["where"]) == ("invalid", "data.post")
    misspelt = await on(host, "emit", "PostCreat", "--community", "playground")
    assert (misspelt.code, "Did you mean PostCreate" in misspelt.err) == (1, True)
    assert (
        code(await on(host, "emit", "PostCreate", "--community", "playground", "--data", "{", "--json"))
        == "bad_request"
    )
    (tmp_path / "broken").mkdir()
    (tmp_path / "broken" / "app.json").write_text('{"name": "B", "verison": "1"}')
    (tmp_path / "broken" / "main.py").write_text("def (\n")
    checked = await run("check", str(tmp_path / "broken"), "--json")
    assert (checked.code, checked.json["ok"]) == (1, False)
    assert {p["where"] for p in checked.json["problems"]} == {
        "app.json/name",
        "app.json/version",
        "app.json/verison",
        "main.py:1",
    }
    assert code(await on(host, "upload", str(tmp_path / "broken"), "--json")) == "bundle_invalid"


@pytest.mark.parametrize(
    "arguments",
    [("nothing",), ("install",), ("emit", "PostCreate"), ("logs", "a", "b", "--limit", "many"), ("upload", "/nowhere")],
)
async def test_wrong_usage_exits_with_2(arguments: tuple[str, ...]) -> None:
    ended = await run(*arguments, SHOWGROUND_URL="http://127.0.0.1:9")
    assert (ended.code, ended.out) == (2, "")
    assert "Usage: showground" in ended.err


async def test_without_a_host_or_with_a_bad_token_one_is_told_what_to_do(host: HostUnderTest, tmp_path: Path) -> None:
    nobody = await run("list", "--json", "--data-dir", str(tmp_path / "nothing"))
    assert (code(nobody), "showground serve" in nobody.json["error"]["remedy"]) == ("not_ready", True)
    stranger = await run("list", "--json", SHOWGROUND_URL=host.host.url, SHOWGROUND_TOKEN="sgt_wrong")
    assert code(stranger) == "unauthorized"
    (tmp_path / "host.json").write_text("{")
    assert code(await run("list", "--json", "--data-dir", str(tmp_path))) == "misconfigured"


async def test_events_logs_and_dead_letters(host: HostUnderTest) -> None:
    good = await on(host, *emit("good"))
    assert (good.code, good.out) == (0, 'many:playground  done  "good"\n')
    bad = await on(host, *emit("bad", "--json"))
    assert (bad.code, bad.json["events"][0]["deliveries"][0]["status"]) == (1, "dead")
    printed = await on(host, "logs", "playground", "many", "--json")
    assert [json.loads(line)["text"] for line in printed.out.splitlines()][:2] == ["a post good", "a post bad"]
    errors = await on(host, "logs", "playground", "many", "--level", "error")
    assert "I don't like it" in errors.out
    listed = await on(host, "dead-letters", "list", *HERE, "--json")
    [letter] = listed.json["dead_letters"]
    shown = await on(host, "dead-letters", "show", letter["id"], *HERE)
    assert json.loads(shown.out)["error"]["code"] == "app_error"
    assert (await on(host, "dead-letters", "redrive", letter["id"], *HERE)).out == "1 will be tried again\n"
    await on(host, "dead-letters", "purge", "--all", *HERE)
    assert (await on(host, "dead-letters", "purge", *HERE)).code == 2


async def test_follow_and_listen_print_one_document_a_line_until_they_are_interrupted(host: HostUnderTest) -> None:
    where = ("--url", host.host.url, "--token", host.host.root_token, "--json")
    following = running("logs", "playground", "many", "--follow", *where)
    listening = running("listen", "news", *HERE, *where)
    async with following as log, listening as news:
        await news.next(type="hello")
        assert (await on(host, *emit("fresh"))).code == 0
        assert (await log.next(text="a post fresh"))["stream"] == "stdout"
        assert (await news.next(type="message"))["data"] == {"title": "fresh"}
        assert await log.stop() == 130
        assert await news.stop() in (0, 130)


async def test_jobs(host: HostUnderTest) -> None:
    [job] = (await on(host, "jobs", "list", *HERE, "--json")).json["jobs"]
    assert "tick  0 3 * * * (UTC)" in (await on(host, "jobs", "list", *HERE)).out
    assert "paused" in (await on(host, "jobs", "pause", job["id"], *HERE)).out
    assert "next" in (await on(host, "jobs", "resume", job["id"], *HERE)).out
    assert (await on(host, "jobs", "show", job["id"], *HERE, "--json")).json["static"] is True
    assert (await on(host, "jobs", "run", job["id"], *HERE)).out.startswith("enqueued ")
    assert code(await on(host, "jobs", "cancel", job["id"], *HERE, "--json")) == "forbidden"
    assert code(await on(host, "jobs", "show", "none", *HERE, "--json")) == "not_found"
    async with asyncio.timeout(20):
        while not (await on(host, "jobs", "history", job["id"], *HERE, "--json")).json["runs"]:
            pass


async def test_settings_and_that_nothing_shows_a_secret(host: HostUnderTest) -> None:
    assert (await on(host, "settings", "set", "many", "greeting", "hi", "--community", "playground")).code == 0
    secret = await on(host, "settings", "set", "many", "api-key", stdin=b"hunter-2-hunter\n")
    assert (secret.code, "hunter" in secret.out + secret.err) == (0, False)
    listed = await on(host, "settings", "list", "many")
    assert listed.out.startswith("api-key = [set]")
    assert 'greeting = "hi"' in (await on(host, "settings", "list", "many", "--community", "playground")).out
    [job] = (await on(host, "jobs", "list", *HERE, "--json")).json["jobs"]
    await on(host, "jobs", "run", job["id"], *HERE)
    async with asyncio.timeout(20):
        while "tick, with" not in (log := await on(host, "logs", "playground", "many")).out:
            pass
    assert "tick, with [redacted]" in log.out
    everything = [
        await on(host, *arguments)
        for arguments in (
            ("settings", "list", "many", "--json"),
            ("export", "playground", "many"),
            ("list", "--json"),
            ("token", "list", "--json"),
            ("doctor",),
        )
    ]
    printed = "".join(e.out + e.err for e in everything)
    assert "hunter-2" not in printed
    assert host.host.root_token not in printed
    aloud = await on(host, "export", "playground", "many", "--with-secrets")
    assert ("hunter-2-hunter" in aloud.out, "keep it safe" in aloud.err) == (True, True)
    assert code(await on(host, "settings", "set", "many", "nothing", "1", "--json")) == "not_found"
    assert (await on(host, "settings", "unset", "many", "api-key")).code == 0


async def test_a_token_is_shown_once_and_works_until_it_is_revoked(host: HostUnderTest) -> None:
    made = await on(host, "token", "create", "ci", "--scope", "read", "--expires", "90d")
    token = made.out.strip()
    assert (await run("list", SHOWGROUND_URL=host.host.url, SHOWGROUND_TOKEN=token)).code == 0
    listed = await on(host, "token", "list", "--json")
    assert token not in listed.out
    [ci] = [t for t in listed.json["tokens"] if t["name"] == "ci"]
    assert "ci  read" in (await on(host, "token", "list")).out
    assert (await on(host, "token", "revoke", ci["id"])).code == 0
    async with asyncio.timeout(20):
        while (await run("list", SHOWGROUND_URL=host.host.url, SHOWGROUND_TOKEN=token)).code == 0:
            pass


async def test_keys_of_an_installation_and_of_the_whole_app(host: HostUnderTest) -> None:
    await on(host, *emit("good"))
    assert (await on(host, "kv", "run", "HGETALL", "titles", *HERE)).out == "t3_1\ngood\n"
    assert (await on(host, "kv", "list", "t*", *HERE)).out == "titles\n"
    assert (await on(host, "kv", "usage", *HERE, "--json")).json["bytes_used"] > 0
    shared = ("--community", "*", "--app", "many")
    assert (await on(host, "kv", "run", "SET", "a b/c?d#e*", "100%", *shared)).out == "OK\n"
    assert (await on(host, "kv", "list", *shared)).out == "a b/c?d#e*\n"
    exported = await on(host, "kv", "export", *shared)
    await on(host, "kv", "run", "DEL", "a b/c?d#e*", *shared)
    loaded = await on(host, "kv", "import", *shared, stdin=exported.out.encode())
    assert loaded == Ended(0, "1 keys\n", "")
    assert (await on(host, "kv", "run", "GET", "a b/c?d#e*", *shared)).out == "100%\n"
    assert code(await on(host, "kv", "run", "FLUSHALL", *HERE, "--json")) == "unknown_command"


async def test_an_installation_goes_through_a_file(host: HostUnderTest, tmp_path: Path) -> None:
    await on(host, *emit("good"))
    exported = await on(host, "export", "playground", "many")
    assert [json.loads(line)["record"] for line in exported.out.splitlines()][::3] == ["installation", "end"]
    file = tmp_path / "many.jsonl"
    file.write_text(exported.out)
    await on(host, "install", "elsewhere", "many")
    done = await on(host, "import", "elsewhere", "many", str(file))
    assert (done.code, done.out) == (0, "many in elsewhere has 1 keys, 1 jobs and 0 settings of the file\n")
    got = await on(host, "kv", "run", "HGETALL", "titles", "--community", "elsewhere", "--app", "many")
    assert got.out == "t3_1\ngood\n"
    refused = await on(host, "import", "elsewhere", "many", "--json", stdin=exported.out.encode()[:-30])
    assert code(refused) == "invalid"
    await on(host, "uninstall", "elsewhere", "many")


@pytest.mark.parametrize(
    "answer",
    [
        b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\n{",
        b"HTTP/1.1 200 OK\r\nContent-Length: 1\r\n\r\n{",
        b"HTTP/1.1 500 Oh\r\nContent-Length: 100\r\n\r\n{",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nff\r\n{",
        b"HTTP/1.1",
        b"",
    ],
)
async def test_no_command_ends_without_a_word_when_the_host_ends_in_the_middle(answer: bytes) -> None:
    async def cut_off(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(answer)
        await writer.drain()
        writer.transport.abort() if not answer else writer.close()

    async with await asyncio.start_server(cut_off, "127.0.0.1", 0) as server:
        port = server.sockets[0].getsockname()[1]
        url = f"http://127.0.0.1:{port}"
        body = b'{"key": "k", "type": "string", "value": "v"}\n' * 20_000
        for words in (("list",), ("kv", "import", "--app", "many", "--community", "x")):
            ended = await run(*words, stdin=body, SHOWGROUND_URL=url, SHOWGROUND_TOKEN="t")
            assert ended.code == 1
            assert ended.err.startswith("showground: ")
            assert "Traceback" not in ended.err


def test_each_command_is_where_the_catalogue_looks_for_it() -> None:
    for module, names in catalogue.MODULES.items():
        commands = import_module(f"showground.cli.{module}").COMMANDS
        assert tuple(command.name for command in commands) == names
    found = [command.name for command in catalogue.commands()]
    assert len(found) == len(set(found))
    assert {"jobs", "listen", "kv"} <= set(found)
