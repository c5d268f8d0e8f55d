"""Emoji chat: say it in one sign. With the list of who is there.

Every message comes from the channel, one's own too, so all see the same order. A member is known by their id, so that a second
window, or a page that was loaded again, makes nobody new; a stranger is known by a token of the view.
Whoever arrives says so and is answered by those who are there. Presence is renewed three times before it lapses, so nobody
flaps when one message is late.
"""

import secrets
import time
from typing import Any

from showground import ChannelStatus, Context, Devvit, Event, ShowgroundError, use_channel, use_interval, use_state
from showground.blocks import Element, blocks, button, hstack, spacer, text, vstack

EMOJI = ("😎", "🎉", "🤔")
RENEW_MS = 15_000
LAPSE_S = 50
LOG_LINES = 20
MOST_PEOPLE = 100

Devvit.configure(realtime=True, reddit=True)


@Devvit.add_menu_item("New emoji chat", "subreddit", for_user_type="moderator")
async def submit(event: Event, context: Context) -> None:
    post = await context.reddit.submit_post("Emoji chat", post_data={})
    context.ui.show_toast("The chat is open", appearance="success")
    context.ui.navigate_to(post)


@Devvit.add_custom_post_type("Emoji chat", description="Chat in emoji", height="tall")
def emoji_chat(context: Context) -> Element:
    post = context.post_id

    def arrive() -> dict[str, str]:
        token = secrets.token_hex(6)
        return {"id": context.user_id or f"guest-{token}", "name": context.username or f"guest {token[:4]}"}

    me, _ = use_state(arrive)
    log, set_log = use_state(list[dict[str, Any]]())
    people, set_people = use_state(dict[str, dict[str, Any]]())

    def note(line: str, own: bool = False) -> None:
        set_log(lambda lines: [{"line": line, "own": own}, *lines][:LOG_LINES])

    def seen(who: dict[str, str]) -> bool:
        """Whether they are new here."""
        known = who["id"] in people
        entry = {"name": str(who["name"])[:40], "at": time.time()}
        set_people(lambda now: {**now, who["id"]: entry} if who["id"] in now or len(now) < MOST_PEOPLE else now)
        return not known

    async def tell(kind: str, **more: str) -> None:
        await channel.send({"post": post, "kind": kind, "who": me, **more})

    async def be_here(kind: str) -> None:
        try:
            await tell(kind)
        except ShowgroundError as error:
            if not error.kind.temporary:  # presence is renewed anyway
                raise

    async def on_message(message: dict[str, Any]) -> None:
        if message["post"] != post:
            return
        who, kind = message["who"], message["kind"]
        own = who["id"] == me["id"]
        if kind == "left":
            leave(who["id"])
            return
        if seen(who) and not own:
            note(f"{who['name']} is here")
        if kind == "joined" and not own:
            await be_here("here")
        elif kind == "said" and message["emoji"] in EMOJI:
            note(f"{'You' if own else who['name']}: {message['emoji']}", own)

    def leave(gone: str) -> None:
        if gone in people and gone != me["id"]:
            note(f"{people[gone]['name']} has left")
            set_people(lambda now: {id: entry for id, entry in now.items() if id != gone})

    async def on_subscribed() -> None:
        seen(me)
        await be_here("joined")

    async def renew() -> None:
        for gone in [id for id, entry in people.items() if entry["at"] < time.time() - LAPSE_S]:
            leave(gone)
        if channel.status is ChannelStatus.CONNECTED:
            await be_here("here")

    channel = use_channel(name="chat", on_message=on_message, on_subscribed=on_subscribed)
    channel.subscribe()
    use_interval(renew, RENEW_MS).start()

    async def say(emoji: str) -> None:
        await tell("said", emoji=emoji)

    live = channel.status is ChannelStatus.CONNECTED
    return blocks(
        vstack(
            hstack(
                text("●", color="#27AE60" if live else "#F2994A"),
                text("Live" if live else "Connecting…", style="metadata"),
                gap="small",
            ),
            hstack(
                vstack(
                    [text(entry["line"], weight="bold" if entry["own"] else "regular") for entry in reversed(log)],
                    alignment="bottom start",
                    gap="small",
                    padding="medium",
                    background_color="neutral-background-weak",
                    corner_radius="medium",
                    grow=True,
                ),
                spacer(size="medium"),
                vstack(
                    text(f"Here: {len(people)}", weight="bold"),
                    [text(people[id]["name"], key=id, size="small") for id in sorted(people)[:12]],
                    gap="small",
                    width="120px",
                ),
                grow=True,
            ),
            hstack(
                [
                    button(e, key=e, size="large", label=f"Say {e}", on_press=say, data=e, disabled=not live)
                    for e in EMOJI
                ],
                gap="small",
                alignment="center",
            ),
            gap="medium",
            padding="medium",
            grow=True,
        )
    )
