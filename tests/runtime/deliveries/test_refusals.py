"""Refusals that a handler meets while it runs, beside those by which the host does not start it."""

from __future__ import annotations

from pathlib import Path

from showground.keys import KeySpace
from showground.testing.bundles import write_bundle
from showground.testing.host import running_host

GREEDY = """
import asyncio
from showground import Devvit

Devvit.add_settings({"type": "string", "name": "greeting", "label": "Greeting"})

@Devvit.add_trigger(event="PostCreate")
async def greedy(event, context):
    await asyncio.gather(*(context.settings.get("greeting") for _ in range(500)))
"""


async def test_a_handler_that_a_capability_refuses_uses_up_its_attempts(
    tmp_path: Path, redis_url: str, keys: KeySpace
) -> None:
    """More open calls than an invocation may have are `overloaded`, as a full host is: tried again for ever, it would run for a
    day, ten times a second."""
    write_bundle(tmp_path / "app", GREEDY)
    patience = {"max_attempts": 2, "retry_base_s": 0.01}
    async with running_host(tmp_path / "data", redis_url, keys.prefix, deliveries=patience) as host:
        await host.install(tmp_path / "app")
        told = await host.emit("PostCreate", {"post": {"id": "t3_1"}})
    [delivery] = told["events"][0]["deliveries"]
    assert (delivery["status"], delivery["attempts"], delivery["error"]["code"]) == ("dead", 2, "overloaded")
