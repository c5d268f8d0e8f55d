"""Bundles written with the SDK, loaded by the loader that ships: what `showground.author` registers comes back as data."""

from pathlib import Path

import pytest

from showground.errors import ShowgroundError
from showground.model import AppVersion
from showground.supervisor.supervisor import LOADER
from showground.testing.workbench import Bundle, Workbench
from showground.worker.spawning import Level

SOURCE = """
from showground import Devvit

Devvit.configure(redis=True)

@Devvit.add_trigger("PostCreate")
async def greet(event, context):
    print("seen", event["post"]["id"])
    return {"attempt": context.attempt if hasattr(context, "attempt") else 1}

@Devvit.add_scheduler_job("tidy")
def tidy(event, context):
    raise LookupError("nothing to tidy")
"""


@pytest.mark.parametrize("level", ["none", "process", "confined"])
async def test_a_bundle_is_checked_and_invoked_at_every_level(tmp_path: Path, level: Level) -> None:
    (tmp_path / "app.json").write_text('{"name": "greeter", "version": "1.0.0", "entry": "main.py"}')
    (tmp_path / "main.py").write_text(SOURCE)
    app = AppVersion(app="greeter", version="1.0.0", digest="d1", entry="main.py")
    async with Workbench(tmp_path, level=level, loader=LOADER) as bench:
        registration = await bench.supervisor.check(tmp_path, app)
        assert registration.trigger("PostCreate") is not None
        assert registration.job("tidy") is not None
        assert "redis" in registration.capabilities

        bundle = Bundle(tmp_path, app)
        assert await bench.invoke(bundle, "PostCreate", b'{"post": {"id": "t3_1"}}') == b'{"attempt":1}'
        with pytest.raises(ShowgroundError) as caught:
            await bench.invoke(bundle, "NoSuchEvent", b"{}")
        assert caught.value.code == "not_found"
        if level != "none":
            assert bench.said("stdout") == ["seen t3_1"]


async def test_all_faults_of_a_bundle_come_back_at_once(tmp_path: Path) -> None:
    (tmp_path / "app.json").write_text('{"name": "faulty", "version": "1.0.0", "entry": "main.py"}')
    (tmp_path / "main.py").write_text(
        "from showground import Devvit\n"
        "@Devvit.add_trigger('NoSuchEvent')\ndef a(event, context): ...\n"
        "@Devvit.add_trigger('NorThisOne')\ndef b(event, context): ...\n"
    )
    app = AppVersion(app="faulty", version="1.0.0", digest="d2", entry="main.py")
    async with Workbench(tmp_path, loader=LOADER) as bench:
        with pytest.raises(ShowgroundError) as caught:
            await bench.supervisor.check(tmp_path, app)
    assert caught.value.code == "bundle_invalid"
    assert len(caught.value.details) == 2
