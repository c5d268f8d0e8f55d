"""Runs the app's handlers without a host: what they ask of it is answered here."""

import asyncio
import json
from pathlib import Path
from typing import Any

from showground.author.loading import load_bundle
from showground.model import Invocation

APP = Path(__file__).parent.parent


def test_a_new_post_is_greeted() -> None:
    sent: list[tuple[Any, ...]] = []

    async def call(member: str, method: str, /, *args: Any) -> Any:
        sent.append((member, method, *args))
        return "epoch.1"

    invocation = Invocation(
        id="1",
        installation="__name__:playground",  # type: ignore[arg-type]
        app="__name__",
        app_version="0.1.0",
        community="playground",
        kind="trigger",
        name="PostCreate",
        timeout_s=30,
    )
    with load_bundle(APP) as app:
        result = asyncio.run(app.run(invocation, b'{"post": {"title": "World"}}', call))
    assert json.loads(result) == "Hello, World"
    [(member, method, channel, data)] = sent
    assert (member, method, channel) == ("realtime", "send", "greetings")
    assert json.loads(data) == {"message": "Hello, World"}
