"""Fixtures of this folder."""

from __future__ import annotations

from pathlib import Path

import pytest

from showground.testing.bundles import write_bundle

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
    return write_bundle(tmp_path / "welcome", APP, permissions={"greeter": True})
