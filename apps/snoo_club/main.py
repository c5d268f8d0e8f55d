"""Snoo club: walk about in a room and see the others walk.

Each message says all there is to know of who sent it, so a stranger has a name at once; whoever arrives asks, and those who are
there answer. Positions are numbered by their walker, so an old one that comes late moves nobody back. Presence is renewed three
times before it lapses. A member with two windows open is one figure.
"""

import secrets
import time
from typing import Any

from showground import ChannelStatus, Context, Devvit, Event, ShowgroundError, use_channel, use_interval, use_state
from showground.blocks import Element, avatar, blocks, button, hstack, icon, spacer, text, vstack, zstack

WIDTH, HEIGHT = 22, 10
RENEW_MS = 15_000
LAPSE_S = 50
MOST_PEOPLE = 60
STATUS = {
    ChannelStatus.CONNECTED: ("#27AE60", "Live"),
    ChannelStatus.CONNECTING: ("#F2994A", "Connecting…"),
}
STEPS = {"up": (0, -1), "left": (-1, 0), "right": (1, 0), "down": (0, 1)}

Devvit.configure(realtime=True, reddit=True)


@Devvit.add_menu_item("New Snoo club", "subreddit", for_user_type="moderator")
async def submit(event: Event, context: Context) -> None:
    post = await context.reddit.submit_post("Snoo club", post_data={})
    context.ui.show_toast("The club is open", appearance="success")
    context.ui.navigate_to(post)


@Devvit.add_custom_post_type("Snoo club", description="Walk about and meet", height="tall")
def snoo_club(context: Context) -> Element:
    post = context.post_id

    def arrive() -> dict[str, Any]:
        token = secrets.token_hex(6)
        return {
            "id": context.user_id or f"guest-{token}",
            "name": context.username or f"guest {token[:4]}",
            "x": secrets.randbelow(WIDTH),
            "y": secrets.randbelow(HEIGHT),
            "step": int(time.time() * 1000),
        }

    me, set_me = use_state(arrive)
    others, set_others = use_state(dict[str, dict[str, Any]]())

    async def tell(now: dict[str, Any], asks: bool = False) -> None:
        await channel.send({"post": post, "who": now, "asks": asks})

    async def be_here(asks: bool = False) -> None:
        try:
            await tell(me, asks)
        except ShowgroundError as error:
            if not error.kind.temporary:  # presence is renewed anyway
                raise

    async def on_message(message: dict[str, Any]) -> None:
        who = message["who"]
        if message["post"] != post:
            return
        if who["id"] == me["id"]:
            if who["step"] > me["step"]:  # the same member in another window
                set_me({**me, "x": who["x"], "y": who["y"], "step": who["step"]})
            return
        set_others(lambda now: met(now, who))
        if message["asks"]:
            await be_here()

    async def on_subscribed() -> None:
        await be_here(asks=True)

    async def renew() -> None:
        oldest = time.time() - LAPSE_S
        set_others(lambda now: {id: who for id, who in now.items() if who["at"] >= oldest})
        if channel.status is ChannelStatus.CONNECTED:
            await be_here()

    channel = use_channel(name="locations", on_message=on_message, on_subscribed=on_subscribed)
    channel.subscribe()
    use_interval(renew, RENEW_MS).start()

    async def walk(way: str) -> None:
        dx, dy = STEPS[way]
        now = {
            **me,
            "x": max(0, min(WIDTH - 1, me["x"] + dx)),
            "y": max(0, min(HEIGHT - 1, me["y"] + dy)),
            "step": me["step"] + 1,
        }
        set_me(now)
        await tell(now)

    color, words = STATUS.get(channel.status, ("#ACACAC", "Away"))
    live = channel.status is ChannelStatus.CONNECTED
    people = sorted([me, *others.values()], key=lambda who: (who["y"], who["id"]))
    return blocks(
        vstack(
            hstack(
                text("●", color=color),
                text(words, style="metadata"),
                spacer(grow=True),
                text(f"{len(people)} here", weight="bold"),
                gap="small",
            ),
            zstack(
                [figure(who, who["id"] == me["id"]) for who in people],
                width=100,
                height="400px",
                background_color="neutral-background-weak",
                corner_radius="medium",
            ),
            hstack(
                [
                    button(icon=way, key=way, label=f"Walk {way}", on_press=walk, data=way, disabled=not live)
                    for way in ("left", "up", "down", "right")
                ],
                gap="small",
                alignment="center",
            ),
            gap="small",
            padding="small",
            grow=True,
        )
    )


def met(now: dict[str, dict[str, Any]], who: dict[str, Any]) -> dict[str, dict[str, Any]]:
    """The others, with what is newly known of one; bounded."""
    known = now.get(who["id"])
    if known is None and len(now) >= MOST_PEOPLE:
        return now
    place = who if known is None or who["step"] >= known["step"] else known
    entry = {
        "id": str(who["id"])[:64],
        "name": str(who["name"])[:40],
        "x": max(0, min(WIDTH - 1, int(place["x"]))),
        "y": max(0, min(HEIGHT - 1, int(place["y"]))),
        "step": place["step"],
        "at": time.time(),
    }
    return {**now, entry["id"]: entry}


def figure(who: dict[str, Any], is_me: bool) -> Element:
    """A figure stands where the room left and above it end."""
    member = str(who["id"]).startswith("t2_")
    return vstack(
        spacer(height=f"{who['y'] * 36}px"),
        hstack(
            spacer(width=f"{who['x'] * 4}%"),
            vstack(
                avatar(who["id"], size="small") if member else icon("user-fill", size="large"),
                hstack(
                    text(who["name"], size="xsmall", color="white"),
                    background_color="#A50016" if is_me else "#6A6A6A",
                    corner_radius="small",
                    padding="xsmall",
                ),
                alignment="center",
            ),
            width=100,
        ),
        key=who["id"],
        width=100,
        alignment="top start",
    )
