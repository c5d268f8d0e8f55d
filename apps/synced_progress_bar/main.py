"""Synced progress bar: everybody who looks at a post pushes and pulls the same bar.

A step is a transaction that is tried again when somebody was faster, so steps add up and never leave 0 to 100. Each
step has a number, and viewers ignore messages older than what they show.
"""

from showground import ChannelStatus, Context, Devvit, Event, ShowgroundError, use_channel, use_state
from showground.blocks import Element, blocks, button, hstack, text, vstack

STEP = 10
TRIES = 8

Devvit.configure(redis=True, realtime=True, reddit=True)


@Devvit.add_menu_item("New progress bar", "subreddit", for_user_type="moderator")
async def submit(event: Event, context: Context) -> None:
    post = await context.reddit.submit_post("Synced progress bar", post_data={})
    context.ui.show_toast("The bar is up", appearance="success")
    context.ui.navigate_to(post)


@Devvit.add_custom_post_type("Synced progress bar", description="A bar that all viewers move", height="regular")
def progress_bar(context: Context) -> Element:
    post = context.post_id

    async def load() -> dict[str, int | str]:
        return read(await context.redis.hgetall(f"bar:{post}"))

    bar, set_bar = use_state(load)
    signed_in, _ = use_state(lambda: context.user_id is not None)

    def show(new: dict[str, int | str]) -> None:
        set_bar(lambda now: new if int(new["version"]) > int(now["version"]) else now)

    def on_message(message: dict[str, int | str]) -> None:
        if message["post"] == post:
            show({name: message[name] for name in ("progress", "version", "by")})

    async def on_subscribed() -> None:
        show(await load())

    channel = use_channel(name="progress", on_message=on_message, on_subscribed=on_subscribed)
    channel.subscribe()

    async def move(step: int) -> None:
        moved = await take_step(context, f"bar:{post}", step)
        if moved is None:
            context.ui.show_toast("Too many hands on the bar. Try again.")
            return
        show(moved)
        try:
            await channel.send({"post": post, **moved})
        except ShowgroundError as error:
            if not error.kind.temporary:
                raise
            context.ui.show_toast("Moved. The others will see it when they come back.")

    live = channel.status is ChannelStatus.CONNECTED
    progress = int(bar["progress"])
    return blocks(
        vstack(
            text(f"{progress} %", size="xxlarge", weight="bold"),
            hstack(
                hstack(width=progress, height="100%", background_color="#D93A00"),
                width=80,
                height="24px",
                background_color="#FFD5C6",
                corner_radius="full",
            ),
            hstack(
                button(
                    icon="subtract-fill",
                    label="Less",
                    on_press=move,
                    data=-STEP,
                    disabled=not signed_in or progress == 0,
                ),
                button(
                    icon="add-fill", label="More", on_press=move, data=STEP, disabled=not signed_in or progress == 100
                ),
                gap="medium",
            ),
            text(f"Last moved by {bar['by']}" if bar["by"] else "Nobody has moved it yet", style="metadata"),
            text("Live" if live else "Connecting…", size="small", style="metadata"),
            alignment="middle center",
            gap="medium",
            grow=True,
        )
    )


def read(stored: dict[str, str]) -> dict[str, int | str]:
    return {
        "progress": int(stored.get("progress", 0)),
        "version": int(stored.get("version", 0)),
        "by": stored.get("by", ""),
    }


async def take_step(context: Context, key: str, step: int) -> dict[str, int | str] | None:
    """The bar after the step; None when others were faster each time."""
    for _ in range(TRIES):
        async with context.redis.watch(key) as transaction:
            now = read(await transaction.hgetall(key))
            moved: dict[str, int | str] = {
                "progress": max(0, min(100, int(now["progress"]) + step)),
                "version": int(now["version"]) + 1,
                "by": context.username or "somebody",
            }
            transaction.multi()
            await transaction.hset(key, mapping=moved)
            if await transaction.exec() is not None:
                return moved
    return None
