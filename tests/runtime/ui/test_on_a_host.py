"""What views do together and alone, on a whole host."""

from __future__ import annotations

from contextlib import AsyncExitStack
from pathlib import Path

from showground.keys import KeySpace
from showground.testing.bundles import write_bundle
from showground.testing.host import running_host
from showground.testing.viewer import Viewer

MAIN = """
from showground import Devvit, use_async, use_channel, use_state
from showground.blocks import button, text, vstack

Devvit.configure(redis=True, realtime=True)


@Devvit.add_custom_post_type("Counted")
def counted(context):
    redis = context.redis
    heard, set_heard = use_state(0)
    page, set_page = use_state(1)

    async def on_message(data):
        set_heard(await redis.incrby("heard", 1))

    channel = use_channel(name="bell", on_message=on_message)
    channel.subscribe()

    async def ring():
        await channel.send(1)

    async def load():
        await redis.incrby("loads", 1)
        return f"page {page}"

    loaded = use_async(load, depends=page)
    return vstack(
        text("ready" if channel.status == 2 else "waiting"),
        text(f"heard {heard}" if heard else "silence"),
        text(loaded.data or "loading"),
        button("Ring", on_press=ring),
        button("Next", on_press=lambda: set_page(page + 1)),
    )
"""


async def test_a_capability_in_a_message_handler_is_called_once_per_viewer(
    tmp_path: Path, redis_url: str, keys: KeySpace
) -> None:
    bundle = write_bundle(tmp_path / "counted", MAIN)
    async with running_host(tmp_path / "data", redis_url, keys.prefix) as host, AsyncExitStack() as stack:
        post = await host.submit_post(await host.install(bundle))
        viewers = [await stack.enter_async_context(Viewer(host.host.url, post)) for _ in range(4)]
        for viewer in viewers:
            await viewer.sees("ready")
            await viewer.sees("page 1")
        await viewers[0].press("Ring")
        for viewer in viewers:
            await viewer.sees("heard")
        heard = sorted(line for viewer in viewers for line in viewer.text.splitlines() if line.startswith("heard"))
        assert heard == ["heard 1", "heard 2", "heard 3", "heard 4"]
        for _ in range(3):
            await viewers[1].press("Next", wait=False)
        await viewers[1].sees("page 4")
