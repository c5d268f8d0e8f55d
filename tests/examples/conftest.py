"""Fixtures of this folder."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

APP = """
from showground import Devvit

Devvit.configure(greeter=True, realtime=True)

@Devvit.add_trigger("PostCreate")
async def welcome(event, context):
    greeting = await context.greeter.hello(event.author.name)
    await context.realtime.send("doors", {"says": greeting})
    return greeting
"""


@pytest.fixture
def welcome_app(tmp_path: Path) -> Path:
    """A bundle that greets whoever posts, and tells the channel `doors`."""
    folder = tmp_path / "welcome"
    folder.mkdir()
    (folder / "main.py").write_text(APP)
    manifest = {"name": "welcome", "version": "1.0.0", "permissions": {"greeter": True}}
    (folder / "app.json").write_text(json.dumps(manifest))
    return folder
