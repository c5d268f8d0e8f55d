"""An app that shows, in every place where an app can show text, the text that its post carries."""

from typing import Any

from showground import Context, Devvit, Event, use_channel, use_form, use_state
from showground.blocks import Element, avatar, blocks, button, hstack, image, spacer, text, vstack, zstack

Devvit.configure(realtime=True, redis=True, reddit=True)

NASTY = "\"'><img src=x onerror=alert(1)></script><script>alert(1)</script><!--{{7*7}}\u2028</title></textarea>"


@Devvit.add_custom_post_type("Canvas")
def canvas(context: Context) -> Element:
    words = NASTY
    count, set_count = use_state(0)
    heard, set_heard = use_state(words)
    channel = use_channel(name="paint", on_message=lambda data: set_heard(data["text"]))
    channel.subscribe()

    def show_log() -> None:
        print(words)

    def fail() -> None:
        raise ValueError(words)

    form = use_form(
        {
            "title": words,
            "description": words,
            "accept_label": words[:60],
            "fields": [{"type": "string", "name": "name", "label": words, "default_value": words, "help_text": words}],
        },
        lambda values: set_heard(values["name"]),
    )
    return blocks(
        vstack(
            text(words, label=words, key=words, id=words),
            text(f"count {count}"),
            text(f"viewer {context.username}"),
            text(heard, key="heard"),
            button(words, key="press", label=words, data={"x": words}, on_press=lambda data: set_count(count + 1)),
            button("Count", on_press=lambda: set_count(lambda now: now + 1)),
            button("Send", on_press=lambda: channel.send({"text": words})),
            button("Ask", on_press=lambda: context.ui.show_form(form)),
            button("Toast", on_press=lambda: context.ui.show_toast(words[:100])),
            button("Log", on_press=show_log),
            button("Fail", on_press=fail),
            image("https://images.example/" + words, image_width=10, image_height=10, description=words, label=words),
            avatar(words, label=words),
            hstack(zstack(spacer(), label=words), label=words),
        )
    )


@Devvit.add_menu_item(
    NASTY[:40], ["post", "comment", "subreddit"], for_user_type=["member", "moderator"], description=NASTY
)
async def toast(event: Event, context: Context) -> None:
    context.ui.show_toast(NASTY[:100])


@Devvit.add_trigger("PostCreate")
async def flair(event: Event, context: Context) -> Any:
    post = await context.reddit.get_post_by_id(event.post.id)
    await post.set_flair(NASTY[:60], background_color=NASTY[:20])
    return "done"
