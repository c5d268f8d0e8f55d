"""A post for tests: a count of one's own, a count that everybody shares through a channel, and ways to go wrong."""

import asyncio
import os
from typing import Any

from showground import Context, Devvit, use_async, use_channel, use_form, use_state
from showground.blocks import blocks, button, text, vstack

Devvit.configure(realtime=True)

may_go_on = asyncio.Event()
"""What "Add slowly" waits for; any viewer may let it go on, as all share one worker."""


@Devvit.add_custom_post_type("Tally")
def tally(context: Context) -> Any:
    own, set_own = use_state(0)
    shared, set_shared = use_state(0)
    status, set_status = use_state("away")
    name, set_name = use_state("nobody")
    greeting = use_async(greet)

    channel = use_channel(
        name="tally",
        on_message=lambda message: set_shared(lambda now: now + message["by"]),
        on_subscribed=lambda: set_status("here"),
        on_unsubscribed=lambda: set_status("away"),
    )
    channel.subscribe()

    async def add_shared() -> None:
        await channel.send({"by": 1})

    async def add_slowly() -> None:
        await channel.send({"by": 10_000})
        await may_go_on.wait()
        await channel.send({"by": 1000})
        set_own(lambda now: now + 1)

    def let_go_on() -> None:
        may_go_on.set()

    def add_and_toast() -> None:
        set_own(lambda now: now + 1)
        context.ui.show_toast("Added")

    def fail() -> None:
        set_own(1000)
        raise ValueError("on purpose")

    form = use_form(
        {"fields": [{"type": "string", "name": "name", "label": "Name", "required": True}]}, set_name_of(set_name)
    )

    return blocks(
        vstack(
            text(f"own {own}"),
            text(f"shared {shared}"),
            text(f"channel {status}"),
            text(f"viewer {context.username}"),
            text(f"name {name}"),
            text(f"greeting {greeting.data or '…'}"),
            button("Add own", on_press=lambda: set_own(lambda now: now + 1)),
            button("Add shared", on_press=add_shared),
            button("Add slowly", on_press=add_slowly),
            button("Let go on", on_press=let_go_on),
            button("Fail", on_press=fail),
            button("Crash", on_press=lambda: os._exit(3)),
            button("Ask", on_press=lambda: context.ui.show_form(form)),
            button("Add and toast", on_press=add_and_toast),
            button("Toast", on_press=lambda: context.ui.show_toast("Hello")),
        )
    )


async def greet() -> str:
    return "hello"


def set_name_of(set_name: Any) -> Any:
    return lambda values: set_name(values["name"])
