"""The teaching bundles do what they teach, each in a real worker process."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import msgspec
import pytest

from showground.author.loading import load_bundle
from showground.bundle import archive
from showground.bundle.check import check_folder
from showground.bundle.manifest import load_manifest
from showground.model import AppVersion, InvocationKind
from showground.supervisor.supervisor import LOADER
from showground.testing.posts import Stage
from showground.testing.workbench import Bundle, Workbench

APPS = Path(__file__).parents[2] / "apps"
SMALL = ("counter_trigger", "reminder", "webhook_relay", "webhook_relay_hooks", "server_push")

MEMBERS = {"scheduler": "run_job", "realtime": "send", "settings": "get", "reddit": "submit_post", "redis": "execute"}


class Host:
    """The app under test in a worker; what it asks of the host's members is kept in `calls` and answered from `answers`."""

    def __init__(self, bench: Workbench) -> None:
        self.bench = bench
        self.calls: list[tuple[Any, ...]] = []
        self.answers: dict[str, Any] = {}
        for member, method in MEMBERS.items():
            bench.members.members[member] = ({method: self._method(method)}, None)

    def _method(self, name: str) -> Any:
        async def method(*args: Any) -> Any:
            self.calls.append((name, *args))
            return self.answers.get(name)

        return method

    async def start(self, name: str) -> Bundle:
        folder = APPS / name
        manifest = await asyncio.to_thread(load_manifest, folder)
        digest = await asyncio.to_thread(archive.digest, folder)
        version = AppVersion(
            app=manifest.name, version=manifest.version, digest=digest, entry=manifest.entry, limits=manifest.limits
        )
        registration = await self.bench.check(Bundle(folder, version))
        return Bundle(folder, msgspec.structs.replace(version, registration=registration))

    async def run(self, app: Bundle, kind: InvocationKind, name: str, payload: object, **more: Any) -> Any:
        invocation = msgspec.structs.replace(self.bench.invocation(app, name), kind=kind, **more)
        data = msgspec.json.encode(payload)
        return msgspec.json.decode(await self.bench.supervisor.invoke(app.version, app.folder, invocation, data))


@pytest.fixture
async def host(tmp_path: Path) -> AsyncIterator[Host]:
    async with Workbench(tmp_path, loader=LOADER) as bench:
        yield Host(bench)


@pytest.mark.parametrize("name", SMALL)
def test_a_teaching_bundle_passes_its_own_check(name: str) -> None:
    assert check_folder(APPS / name) == []


@pytest.mark.parametrize("name", ["webhook_relay", "webhook_relay_hooks"])
async def test_the_relay_passes_large_orders_on_however_it_is_written(host: Host, name: str) -> None:
    app = await host.start(name)
    host.answers["get"] = 10
    event = "com.example.OrderPaid"
    assert await host.run(app, "trigger", event, {"number": "7", "amount": 9}) is False
    assert [call[0] for call in host.calls] == ["get"]
    assert await host.run(app, "trigger", event, {"number": "8", "amount": 10}, idempotency_key="k") is True
    method, channel, data = host.calls[-1]
    assert (method, channel) == ("send", "orders")
    assert msgspec.json.decode(data) == {"id": "k", "number": "8", "amount": 10}


async def test_both_relays_register_the_same(host: Host) -> None:
    decorated, hooked = await host.start("webhook_relay"), await host.start("webhook_relay_hooks")
    assert decorated.version.registration == hooked.version.registration


async def test_server_push_plans_one_job_at_install_and_publishes_at_each_run(host: Host) -> None:
    app = await host.start("server_push")
    host.answers["run_job"] = "job-1"
    assert await host.run(app, "trigger", "AppInstall", {}) == "job-1"
    _, request = host.calls.pop()
    assert (request["name"], request["cron"], request["key"]) == ("publish_to_channel", "* * * * *", "publish")
    await host.run(app, "job", "publish_to_channel", {"name": "publish_to_channel", "data": None})
    method, channel, data = host.calls.pop()
    assert (method, channel) == ("send", "events")
    assert msgspec.json.decode(data)["message"].endswith(" UTC")


async def test_a_moderator_makes_a_server_push_post_from_the_menu(host: Host) -> None:
    app = await host.start("server_push")
    host.answers["submit_post"] = {
        "id": "t3_9",
        "author_id": "t2_app",
        "author_name": "server-push",
        "created_at_ms": 1,
        "permalink": "/posts/t3_9",
        "title": "Server push",
        "url": "http://localhost:8787/posts/t3_9",
    }
    shown = await host.run(app, "menu", "menuItem.0", {"location": "subreddit", "targetId": "playground"})
    assert [e["type"] for e in shown["effects"]] == ["toast", "navigate"]
    method, title, fields = host.calls.pop()
    assert (method, title, fields["post_data"]) == ("submit_post", "Server push", b"{}")


async def test_asking_again_moves_a_reminder_because_its_key_is_the_same(host: Host) -> None:
    app = await host.start("reminder")
    here = {"user_id": "t2_ann", "post_id": "t3_1"}
    [form] = (await host.run(app, "menu", "menuItem.0", {"location": "post", "targetId": "t3_1"}, **here))["effects"]
    assert form["form"]["fields"][0]["name"] == "minutes"
    host.answers["run_job"] = "job-1"
    asked = []
    for minutes in (10, 60):
        values = {"values": {"minutes": minutes, "note": "read it"}}
        [toast] = (await host.run(app, "form", form["id"], values, **here))["effects"]
        assert toast["text"] == f"You will be reminded in {minutes} minutes"
        asked.append(host.calls.pop()[1])
    assert {request["key"] for request in asked} == {"t2_ann:t3_1"}
    assert asked[1]["run_at_ms"] - asked[0]["run_at_ms"] >= 50 * 60 * 1000
    host.answers["execute"] = [1]
    await host.run(app, "job", "remind", {"name": "remind", "data": asked[1]["data"]})
    [(_, [command], *_rest), (_, channel, sent)] = host.calls
    assert list(command) == ["HSET", "reminders:t2_ann", "t3_1", "read it"]
    assert (channel, msgspec.json.decode(sent)["post"]) == ("reminders", "t3_1")


async def test_every_open_server_push_post_shows_what_was_published() -> None:
    with load_bundle(APPS / "server_push") as app:
        stage = Stage(app)
        screens = [await stage.open("t2_ann"), await stage.open("t2_bob"), await stage.open(None)]
        assert all(screen.channels == ("events",) for screen in screens)
        assert all("Live" in screen.texts for screen in screens)
        await stage.deliver("events", {"message": "2026-01-01 00:00:00 UTC"})
        assert all("2026-01-01 00:00:00 UTC" in screen.texts for screen in screens)
        waiting = await stage.open("t2_eve", connect=False)
        assert "Connecting…" in waiting.texts
