"""Mini Place: a canvas of 8 by 8 pixels per post, painted by everybody at once.

A pixel is written to Redis first, together with a number that counts the paintings of this post, in one transaction; then the
others are told. So no pixel is lost when the channel is down, and who hears two messages in the wrong order keeps the
newer pixel. A viewer whose channel comes up reads the canvas afresh, because something may have been painted before.
"""

from showground import ChannelStatus, Context, Devvit, Event, ShowgroundError, use_channel, use_state
from showground.blocks import Element, Press, blocks, hstack, icon, text, vstack, zstack

SIZE = 8
PALETTE = ("#FFFFFF", "#000000", "#EB5757", "#F2994A", "#F2C94C", "#27AE60", "#2F80ED", "#9B51E0")
NAMES = ("white", "black", "red", "orange", "yellow", "green", "blue", "purple")
BLANK, FIRST_CHOICE = 0, 1

Devvit.configure(redis=True, realtime=True, reddit=True)


@Devvit.add_menu_item("New Mini Place", "subreddit", for_user_type="moderator")
async def submit(event: Event, context: Context) -> None:
    post = await context.reddit.submit_post("Mini Place", post_data={})
    context.ui.show_toast("Mini Place is open", appearance="success")
    context.ui.navigate_to(post)


@Devvit.add_custom_post_type("Mini Place", description="An 8 by 8 canvas for everybody", height="regular")
def mini_place(context: Context) -> Element:
    post = context.post_id
    key = f"canvas:{post}"

    async def load() -> dict[str, list[int]]:
        stored = await context.redis.hgetall(key)
        version = int(stored.get("version", 0))
        pixels = [int(stored.get(str(index), BLANK)) for index in range(SIZE * SIZE)]
        return {"pixels": pixels, "versions": [version] * (SIZE * SIZE)}

    canvas, set_canvas = use_state(load)
    chosen, choose = use_state(FIRST_CHOICE)

    def put(index: int, color: int, version: int) -> None:
        def change(now: dict[str, list[int]]) -> dict[str, list[int]]:
            if version > now["versions"][index]:
                now["pixels"][index], now["versions"][index] = color, version
            return now

        set_canvas(change)

    def on_message(message: dict[str, int | str]) -> None:
        if message["post"] == post:  # the channel is the installation's, so it brings the pixels of all posts
            put(int(message["index"]), int(message["color"]), int(message["version"]))

    async def on_subscribed() -> None:
        set_canvas(await load())

    channel = use_channel(name="pixels", on_message=on_message, on_subscribed=on_subscribed)
    channel.subscribe()

    async def paint(index: int) -> None:
        async with context.redis.watch() as transaction:
            transaction.multi()
            await transaction.hincrby(key, "version", 1)
            await transaction.hset(key, str(index), chosen)
            replies = await transaction.exec()
        version = int(replies[0]) if replies else 0
        put(index, chosen, version)
        try:
            await channel.send({"post": post, "index": index, "color": chosen, "version": version})
        except ShowgroundError as error:
            if not error.kind.temporary:
                raise
            context.ui.show_toast("Painted. The others will see it when they come back.")

    live = channel.status is ChannelStatus.CONNECTED
    return blocks(
        vstack(
            vstack(
                [
                    hstack([pixel(y * SIZE + x, canvas["pixels"][y * SIZE + x], paint) for x in range(SIZE)])
                    for y in range(SIZE)
                ],
                border="thin",
            ),
            hstack([swatch(color, color == chosen, choose) for color in range(len(PALETTE))]),
            text("Live" if live else "Connecting…", size="small", style="metadata"),
            alignment="middle center",
            gap="small",
            grow=True,
        )
    )


def pixel(index: int, color: int, paint: Press) -> Element:
    return hstack(
        key=index,
        label=f"Row {index // SIZE + 1}, column {index % SIZE + 1}: {NAMES[color]}",
        width="28px",
        height="28px",
        background_color=PALETTE[color],
        border="thin",
        border_color="#0000001A",
        on_press=paint,
        data=index,
    )


def swatch(color: int, is_chosen: bool, choose: Press) -> Element:
    return zstack(
        hstack(width="28px", height="28px", background_color=PALETTE[color], border="thin"),
        icon("checkmark", size="small", color="black" if color == BLANK else "white") if is_chosen else None,
        key=NAMES[color],
        label=f"Paint in {NAMES[color]}",
        alignment="middle center",
        on_press=choose,
        data=color,
    )
