"""Many bundles live in one process, written either way, and each gets what an author would expect."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import msgspec
import pytest

from showground.author.loading import LoadedBundle, load_bundle
from showground.errors import ShowgroundError
from showground.keys import InstallationId
from showground.model import Invocation, InvocationKind, TriggerSpec


def bundle(folder: Path, files: dict[str, str], **manifest: object) -> Path:
    for name, text in {"app.json": json.dumps({"name": "app", "version": "1.0.0", **manifest}), **files}.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    return folder


def invocation(kind: InvocationKind, name: str, **more: Any) -> Invocation:
    return Invocation(
        id="i1",
        installation=InstallationId("app:here"),
        app="app",
        app_version="1.0.0",
        community="here",
        kind=kind,
        name=name,
        timeout_s=30,
        **more,
    )


async def no_call(*args: object) -> Any:
    raise AssertionError(f"unexpected call {args}")


async def run(loaded: LoadedBundle, kind: InvocationKind, name: str, payload: object = None) -> Any:
    return msgspec.json.decode(await loaded.run(invocation(kind, name), msgspec.json.encode(payload), no_call))


DECORATORS = """
from showground import Devvit
Devvit.configure(redis=True, realtime={"enabled": True})
Devvit.add_settings({"type": "string", "name": "greeting", "default_value": "Hi"})

@Devvit.add_trigger("PostCreate", "com.example.OrderPaid", timeout_s=5)
async def on_post(event, context):
    return [event.type, event.post.title]

@Devvit.add_scheduler_job("tick", max_attempts=2)
def tick(event, context):
    return [event.name, event.data]

@Devvit.add_custom_post_type("Board", height="tall")
def board(context): ...

@Devvit.add_menu_item("Open", ["post", "comment"], for_user_type="moderator")
async def press(event, context): ...

@Devvit.create_form({"fields": [{"type": "string", "name": "who"}]})
async def submitted(event, context): ...
"""
HOOKS = """
from showground import hookimpl, Trigger, SchedulerJob, CustomPostType, MenuItem, SettingField, Form

async def on_post(event, context):
    return [event["type"], event["post"]["title"]]

def tick(event, context):
    return [event.name, event.data]

def board(context): ...
async def press(event, context): ...
async def submitted(event, context): ...

@hookimpl
def configure(): return {"redis": True, "realtime": {"enabled": True}}

@hookimpl
def add_settings(): return [SettingField(name="greeting", type="string", default_value="Hi")]

@hookimpl
def add_trigger(): return [Trigger(event=["PostCreate", "com.example.OrderPaid"], handler=on_post, timeout_s=5)]

@hookimpl
def add_scheduler_job(): return SchedulerJob(name="tick", handler=tick, max_attempts=2)

@hookimpl
def add_custom_post_type(): return [CustomPostType(name="Board", render=board, height="tall")]

@hookimpl
def add_menu_item():
    yield MenuItem(label="Open", location=["post", "comment"], on_press=press, for_user_type="moderator")

@hookimpl
def create_form(): return [Form(form={"fields": [{"type": "string", "name": "who"}]}, on_submit=submitted)]
"""


async def test_both_ways_of_writing_give_the_same_bundle(tmp_path: Path) -> None:
    with (
        load_bundle(bundle(tmp_path / "a", {"main.py": DECORATORS})) as one,
        load_bundle(bundle(tmp_path / "b", {"main.py": HOOKS})) as other,
    ):
        assert one.registration == other.registration
        assert one.registration.capabilities == {"redis", "cache", "realtime", "scheduler", "settings"}
        assert one.registration.trigger("com.example.OrderPaid") == TriggerSpec(
            event="com.example.OrderPaid", timeout_s=5
        )
        assert [m.id for m in one.registration.menu_items] == ["menuItem.0"]
        assert [f.id for f in one.registration.forms] == ["form.0"]
        for loaded in (one, other):
            assert await run(loaded, "trigger", "PostCreate", {"post": {"title": "x"}}) == ["PostCreate", "x"]
            assert await run(loaded, "job", "tick", {"name": "tick", "data": {"n": 1}}) == ["tick", {"n": 1}]


async def test_bundles_with_equal_module_names_do_not_meet(tmp_path: Path) -> None:
    code = """
import helpers
import lib.deep as deep
from lib import deep as same
from . import helpers as relative
from helpers import COUNT
from showground import Devvit

@Devvit.add_trigger("PostCreate")
def count(event, context):
    import helpers as late
    assert deep is same and helpers is relative is late
    COUNT.append(1)
    return [helpers.NAME, deep.NAME, len(COUNT)]
"""

    def files(name: str) -> dict[str, str]:
        return {
            "main.py": code,
            "helpers.py": f"NAME = {name!r}\nCOUNT = []\n",
            "lib/__init__.py": "",
            "lib/deep.py": "import helpers\nfrom ..helpers import NAME as up\nNAME = helpers.NAME + up\n",
        }

    with (
        load_bundle(bundle(tmp_path / "a", files("a"))) as one,
        load_bundle(bundle(tmp_path / "b", files("b"))) as other,
        load_bundle(bundle(tmp_path / "a", files("a"))) as again,
    ):
        assert await run(one, "trigger", "PostCreate") == ["a", "aa", 1]
        assert await run(one, "trigger", "PostCreate") == ["a", "aa", 2]
        assert await run(other, "trigger", "PostCreate") == ["b", "bb", 1]
        assert await run(again, "trigger", "PostCreate") == ["a", "aa", 1]
    assert "helpers" not in sys.modules
    left = [item for item in os.walk(tmp_path) if item[0].endswith("__pycache__")]
    assert left == []


async def test_the_entry_may_lie_in_a_folder_and_modules_may_use_dataclasses_and_typing(tmp_path: Path) -> None:
    code = """
from __future__ import annotations
import dataclasses, typing
from . import sibling
from showground import Devvit

@dataclasses.dataclass
class Row:
    name: str

@Devvit.add_trigger("PostCreate")
def on_post(event, context):
    return [typing.get_type_hints(Row)["name"].__name__, sibling.NAME]
"""
    folder = bundle(tmp_path / "a", {"src/app.py": code, "src/sibling.py": "NAME = 'x'\n"}, entry="src/app.py")
    with load_bundle(folder) as loaded:
        assert await run(loaded, "trigger", "PostCreate") == ["str", "x"]


async def test_handlers_of_one_event_start_together_and_their_failures_are_joined(tmp_path: Path) -> None:
    code = """
import asyncio
from showground import Devvit
first, second = asyncio.Event(), asyncio.Event()

@Devvit.add_trigger("PostCreate")
async def one(event, context):
    first.set()
    await second.wait()
    event["mine"] = 1
    if event.fail: raise ValueError("one failed")
    return 1

@Devvit.add_trigger("PostCreate")
async def two(event, context):
    await first.wait()
    second.set()
    assert "mine" not in event
    if event.fail > 1: raise KeyError("two failed")
"""
    with load_bundle(bundle(tmp_path / "a", {"main.py": code})) as loaded:
        assert len(loaded.registration.triggers) == 1
        assert await run(loaded, "trigger", "PostCreate", {"fail": 0}) == [1, None]
        with pytest.raises(ValueError, match=r"^one failed$"):
            await run(loaded, "trigger", "PostCreate", {"fail": 1})
        with pytest.raises(ShowgroundError, match="ValueError: one failed\nKeyError: 'two failed'") as joined:
            await run(loaded, "trigger", "PostCreate", {"fail": 2})
        assert joined.value.code == "app_error"


async def test_what_no_handler_is_registered_for_is_not_found(tmp_path: Path) -> None:
    with load_bundle(bundle(tmp_path / "a", {"main.py": DECORATORS})) as loaded:
        with pytest.raises(ShowgroundError, match="The app has no job tack") as refused:
            await run(loaded, "job", "tack")
        assert refused.value.code == "not_found"


async def test_a_result_that_is_no_json_does_not_fail_what_was_done(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    code = "from showground import Devvit\n@Devvit.add_trigger('PostCreate')\ndef f(event, context): return object()\n"
    with load_bundle(bundle(tmp_path / "a", {"main.py": code})) as loaded:
        assert await run(loaded, "trigger", "PostCreate") is None
    assert "no JSON" in caplog.text


async def test_a_settings_validator_answers_with_the_error_text(tmp_path: Path) -> None:
    code = """
from showground import Devvit
Devvit.add_settings({"type": "number", "name": "size",
                     "on_validate": lambda event, context: "too small" if event.value < 3 else None})
"""
    with load_bundle(bundle(tmp_path / "a", {"main.py": code})) as loaded:
        assert loaded.registration.settings[0].has_validator
        assert await run(loaded, "validate", "size", {"value": 1, "isEditing": True}) == {"error": "too small"}
        assert await run(loaded, "validate", "size", {"value": 3, "isEditing": True}) == {"error": None}


async def test_menu_items_and_forms_answer_with_what_the_user_is_shown(tmp_path: Path) -> None:
    code = """
from showground import Devvit

@Devvit.create_form({"fields": [{"type": "number", "name": "size", "required": True, "min": 1}]})
def sized(event, context):
    context.ui.show_toast(f"Size {event.values.size}")

@Devvit.add_menu_item("Resize", ["post"])
async def resize(event, context):
    assert event.target_id == "t3_1"
    context.ui.show_form(sized)
"""
    with load_bundle(bundle(tmp_path / "a", {"main.py": code})) as loaded:
        pressed = await run(loaded, "menu", "menuItem.0", {"location": "post", "targetId": "t3_1"})
        [effect] = pressed["effects"]
        assert (effect["type"], effect["id"], effect["form"]["fields"][0]["name"]) == ("form", "form.0", "size")
        shown = await run(loaded, "form", "form.0", {"values": {"size": 3}})
        assert [e["text"] for e in shown["effects"]] == ["Size 3"]
        with pytest.raises(ShowgroundError) as refused:
            await run(loaded, "form", "form.0", {"values": {"size": 0, "extra": 1}})
        assert {p.where for p in refused.value.details} == {"values/size", "values/extra"}


def test_the_manifest_may_bound_a_handler_and_declare_jobs_and_settings(tmp_path: Path) -> None:
    folder = bundle(
        tmp_path / "a",
        {"main.py": DECORATORS},
        handlers={"trigger:PostCreate": {"timeout_s": 2}, "job:tick": {"max_attempts": 7}},
        jobs=[{"name": "tick", "cron": "0 9 * * 1", "timezone": "Europe/Vienna"}],
        settings=[{"type": "group", "label": "Looks", "fields": [{"type": "boolean", "name": "dark"}]}],
    )
    with load_bundle(folder) as loaded:
        registration = loaded.registration
        assert registration.trigger("PostCreate") == TriggerSpec(event="PostCreate", timeout_s=2)
        assert [(j.name, j.max_attempts) for j in registration.jobs] == [("tick", 7)]
        assert [(j.cron, j.timezone, j.overlap) for j in registration.static_jobs] == [
            ("0 9 * * 1", "Europe/Vienna", "skip")
        ]
        assert [(s.name, s.group) for s in registration.settings] == [("dark", "Looks"), ("greeting", "")]


def test_http_domains_are_cleaned_as_devvit_cleans_them(tmp_path: Path) -> None:
    code = 'from showground import Devvit\nDevvit.configure(http={"domains": ["https://www.A.example.com", "a.example.com"]})\n'
    folder = bundle(tmp_path / "a", {"main.py": code}, permissions={"http": {"domains": ["a.example.com"]}})
    with load_bundle(folder) as loaded:
        assert loaded.registration.http_domains == ("a.example.com",)


@pytest.mark.parametrize(
    ("permissions", "option", "granted"),
    [
        ({}, "redis=True", {"redis", "cache"}),
        ({}, "kv_store=True", {"redis", "cache"}),
        ({}, "reddit_api=True, media=True", {"reddit", "media"}),
        ({}, "redis=False", set()),
        ({}, 'redis={"enabled": False}', set()),
        ({"http": {"domains": ["a.example.com"]}}, "http=True", {"http"}),
        ({"user_actions": True}, "user_actions=True", {"user_actions"}),
        ({"redis": {"enabled": True}}, "redis=True", {"redis", "cache"}),
    ],
)
def test_configure_grants_what_the_manifest_permits(
    tmp_path: Path, permissions: dict[str, object], option: str, granted: set[str]
) -> None:
    code = f"from showground import Devvit\nDevvit.configure({option})\n"
    with load_bundle(bundle(tmp_path / "a", {"main.py": code}, permissions=permissions)) as loaded:
        assert loaded.registration.capabilities == granted
        assert loaded.registration.http_domains == (("a.example.com",) if "http" in granted else ())
        assert bool(loaded.registration.user_scopes) == ("user_actions" in granted)


def test_an_option_of_a_plugin_is_known_once_the_manifest_names_it(tmp_path: Path) -> None:
    code = 'from showground import Devvit\nDevvit.configure(greeter={"tone": "warm"})\n'
    with load_bundle(bundle(tmp_path / "a", {"main.py": code}, permissions={"greeter": True})) as loaded:
        assert loaded.registration.capabilities == {"greeter"}
        assert loaded.registration.configured == {"greeter": {"tone": "warm"}}


def imported(statement: str) -> set[str]:
    """What a fresh interpreter has imported after *statement*."""
    program = f"{statement}\nimport sys\nprint(*sys.modules)"
    ran = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    return set(ran.stdout.split())


def test_the_author_surface_is_light() -> None:
    nothing_else = imported("from __future__ import annotations\nimport importlib, typing")
    assert imported("import showground") - nothing_else == {"showground"}
    modules = imported("from showground import Devvit, hookimpl, Trigger")
    loader = imported("import showground.author.loading")
    heavy = {"aiohttp", "redis", "jsonschema", "jsonschema_rs", "click", "croniter", "cryptography", "structlog"}
    assert not heavy & (modules | loader)


def test_the_events_that_code_may_name_are_those_that_the_host_knows() -> None:
    from showground.author.registration import CUSTOM_EVENT, EVENTS
    from showground.events.catalogue import CUSTOM_NAME, Catalogue

    assert list(EVENTS) == [t.name for t in Catalogue().types()]
    assert CUSTOM_EVENT.pattern == CUSTOM_NAME.pattern
