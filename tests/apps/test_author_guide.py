"""The author guide's code is a bundle that passes its check and does what the page says."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import msgspec
import pytest

from showground.author.loading import LoadedBundle, load_bundle
from showground.author.registration import EVENTS
from showground.bundle.check import check_folder
from showground.bundle.schema import manifest_schema
from showground.hookspecs import BundleHooks
from showground.keys import InstallationId, KeySpace
from showground.model import Invocation
from showground.testing.host import running_host

DOCS = Path(__file__).parents[2] / "docs"
GUIDE = (DOCS / "author-guide.md").read_text("utf-8")


def blocks(section: str, language: str) -> list[str]:
    text = GUIDE.split(f"\n## {section}", 1)[1].split("\n## ", 1)[0]
    return re.findall(rf"```{language}\n(.*?)```", text, re.DOTALL)


@pytest.fixture
def welcome(tmp_path: Path) -> Path:
    """The tutorial's app with all of its steps, and the sections on settings and forms."""
    code = [*blocks("Tutorial", "python"), *blocks("Settings", "python"), *blocks("Forms and menu items", "python")]
    (tmp_path / "main.py").write_text("\n\n".join(code))
    (tmp_path / "app.json").write_text(blocks("Tutorial", "json")[0])
    return tmp_path


async def run(app: LoadedBundle, name: str, payload: object, answers: dict[str, Any]) -> tuple[Any, list[Any]]:
    calls: list[Any] = []

    async def call(member: str, method: str, /, *args: object) -> Any:
        calls.append((member, method, *args))
        return answers[f"{member}.{method}"]

    invocation = Invocation(
        id="1",
        installation=InstallationId("welcome:playground"),
        app="welcome",
        app_version="0.1.0",
        community="playground",
        kind="trigger",
        name=name,
        timeout_s=30,
    )
    return msgspec.json.decode(await app.run(invocation, msgspec.json.encode(payload), call)), calls


async def test_the_tutorials_app_passes_its_check_and_plans_its_job(welcome: Path) -> None:
    assert check_folder(welcome) == []
    with load_bundle(welcome) as app:
        registration = app.registration
        assert [t.event for t in registration.triggers] == ["PostCreate", "AppInstall", "AppUpgrade"]
        assert [j.name for j in registration.jobs] == ["summary"]
        assert [s.name for s in registration.settings] == ["greeting", "api_key"]
        assert (len(registration.post_types), len(registration.menu_items), len(registration.forms)) == (1, 1, 1)
        _, calls = await run(app, "AppInstall", {}, {"scheduler.run_job": "j1"})
        assert calls[0][2]["key"] == "summary"


async def test_the_guides_hooks_are_a_bundle(tmp_path: Path) -> None:
    (tmp_path / "main.py").write_text(blocks("Two ways of writing", "python")[0])
    (tmp_path / "app.json").write_text(json.dumps({"name": "hooks", "version": "1.0.0"}))
    assert check_folder(tmp_path) == []
    with load_bundle(tmp_path) as app:
        assert (await run(app, "PostCreate", {"author": {"name": "ada"}}, {}))[0] == "Welcome, ada!"


def test_the_guide_names_every_event_hook_and_manifest_key() -> None:
    hooks = [name for name in vars(BundleHooks) if not name.startswith("_")]
    keys = [key for key in manifest_schema()["properties"] if key != "$schema"]
    missing = [name for name in (*EVENTS, *hooks, *keys) if f"`{name}`" not in GUIDE]
    assert missing == []


def test_the_devvit_table_names_every_registration_hook_and_member() -> None:
    table = (DOCS / "devvit-table.md").read_text("utf-8")
    names = re.findall(
        r"\w+",
        """
        configure addTrigger addSchedulerJob addCustomPostType addMenuItem addSettings createForm useState
        useAsync useInterval useForm useChannel useWebView usePagination subredditId subredditName postId
        postData commentId userId appAccountId appName appVersion debug toJSON redis kvStore cache settings
        scheduler media assets realtime modLog dimensions uiEnvironment fetch runJob cancelJob listJobs
        """,
    )
    assert [name for name in names if name not in table] == []


async def test_the_tutorial_runs_on_a_host_as_it_is_written(
    welcome: Path, tmp_path_factory: pytest.TempPathFactory, redis_url: str, keys: KeySpace
) -> None:
    async with running_host(tmp_path_factory.mktemp("host"), redis_url, keys.prefix) as host:
        await host.install(welcome)
        data = {"post": {"id": "t3_1", "title": "Hi"}, "author": {"name": "ada"}}
        answers = [await host.emit("PostCreate", data, id=f"e{n}") for n in range(2)]
        assert [answer["events"][0]["deliveries"][0]["result"] for answer in answers] == [
            "Welcome, ada!",
            "Hello again, ada",
        ]
