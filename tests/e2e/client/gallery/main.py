"""Every block with every attribute, and everything that a viewer can do. The post's data names the page."""

from typing import Any, Literal

from showground import Context, Devvit, use_channel, use_form, use_interval, use_state, use_web_view
from showground.blocks import (
    Element,
    avatar,
    blocks,
    button,
    hstack,
    icon,
    image,
    spacer,
    text,
    vstack,
    webview,
    zstack,
)

Devvit.configure(realtime=True)

WORDS = "Sphinx of black quartz, judge my vow"
Face = Literal["xxsmall", "xsmall", "small", "medium", "large", "xlarge", "xxlarge", "xxxlarge"]
FACES: tuple[Face, ...] = ("xxsmall", "xsmall", "small", "medium", "large", "xlarge", "xxlarge", "xxxlarge")
Look = Literal["secondary", "primary", "plain", "bordered", "media", "destructive", "caution", "success"]
APPEARANCES: tuple[Look, ...] = (
    "secondary", "primary", "plain", "bordered", "media", "destructive", "caution", "success",
)  # fmt: skip
EVIL = '"><img src=x onerror="window.pwned=1"><script>window.pwned=1</script>'


@Devvit.add_custom_post_type("Gallery", height="tall")
def gallery(context: Context) -> Element:
    page = (context.post_data or {}).get("page", "text")
    return PAGES[page](context)


def stacks(context: Context) -> Element:
    def box(name: str, **more: Any) -> Element:
        return hstack(text(name, size="small"), padding="xsmall", background_color="secondary-background", **more)

    def row(**attributes: Any) -> Element:
        return hstack(
            box("a", height="40px"),
            box("b"),
            box("c", height="56px"),
            width="120px",
            height="64px",
            border="thin",
            **attributes,
        )

    sides = ("top start", "middle center", "end bottom", "center", "bottom")
    return blocks(
        vstack(
            hstack([row(alignment=side, gap="small") for side in sides], gap="small"),
            hstack(
                [
                    vstack(
                        box("a"),
                        box("b", width="60px"),
                        alignment=side,
                        width="120px",
                        height="80px",
                        border="thin",
                        gap="small",
                    )
                    for side in sides
                ],
                gap="small",
            ),
            hstack(
                [
                    zstack(
                        hstack(width="60px", height="40px", background_color="orangered-300"),
                        text("front", size="small", weight="bold", color="black"),
                        alignment=side,
                        width="120px",
                        height="64px",
                        border="thin",
                    )
                    for side in sides
                ],
                gap="small",
            ),
            hstack(
                hstack(box("1"), box("2"), box("3"), reverse=True, gap="small", key="reversed row"),
                vstack(box("1"), box("2"), reverse=True, gap="small"),
                zstack(
                    hstack(width="60px", height="40px", background_color="kiwigreen-300"),
                    hstack(width="30px", height="60px", background_color="periwinkle-400"),
                    reverse=True,
                ),
                box("padding large", key="p"),
                vstack(
                    text("thick"),
                    border="thick",
                    border_color="#1f62c4 #7db3ff",
                    corner_radius="medium",
                    padding="medium",
                ),
                vstack(
                    text("full", color="white"),
                    corner_radius="full",
                    padding="small",
                    background_color="success-background",
                    border="none",
                ),
                gap="medium",
                alignment="middle",
            ),
            hstack(
                hstack(
                    text("grow", size="small"),
                    grow=True,
                    background_color="lightblue-100 lightblue-900",
                    padding="small",
                ),
                hstack(text("25%", size="small"), width="25%", background_color="lime-100 lime-900", padding="small"),
                hstack(
                    text("80px", size="small"), width="80px", background_color="yellow-100 yellow-900", padding="small"
                ),
                gap="medium",
                width=100,
            ),
            hstack(
                vstack(text("min"), min_width="100px", min_height="30px", border="thin"),
                vstack(text(WORDS), max_width="140px", max_height="24px", border="thin"),
                gap="large",
            ),
            padding="medium",
            gap="small",
            width="100%",
        )
    )


def texts(context: Context) -> Element:
    return blocks(
        vstack(
            text("The type scale", style="heading", size="xxlarge"),
            [
                text(f"{size}: {WORDS}", size=size)
                for size in ("xsmall", "small", "medium", "large", "xlarge", "xxlarge")
            ],
            text("Bold and metadata", weight="bold"),
            text("When and by whom", style="metadata"),
            text(f"{WORDS}. {WORDS}. {WORDS}. {WORDS}.", key="cut"),
            text(f"{WORDS}. {WORDS}. {WORDS}. {WORDS}.", overflow="clip", key="clipped"),
            text(f"{WORDS}. {WORDS}. {WORDS}. {WORDS}.", wrap=True, key="wrapped"),
            text("centred", alignment="center middle", width="100%", height="32px"),
            text("at the end", alignment="end", width="100%", selectable=False),
            hstack(
                text("thin", outline="thin", size="xlarge", color="orangered-600"),
                text("thick", outline="thick", size="xlarge", weight="bold", color="#1f62c4 #7db3ff"),
                gap="large",
            ),
            hstack(
                text("danger", color="danger-plain"),
                text("success", color="success-plain"),
                text("caution", color="caution-plain"),
                text("weak", color="neutral-content-weak"),
                text("hsl", color="hsl(210, 80%, 35%) hsl(210, 80%, 75%)"),
                text("named", color="teal aquamarine"),
                gap="medium",
            ),
            padding="medium",
            gap="small",
        )
    )


def buttons(context: Context) -> Element:
    def nothing() -> None: ...

    return blocks(
        vstack(
            [
                hstack(
                    [
                        button(
                            "Press",
                            size=size,
                            appearance=appearance,
                            icon="upvote-fill" if size == "large" else None,
                            on_press=nothing,
                        )
                        for size in ("small", "medium", "large")
                    ],
                    button(icon="heart-fill", label=f"Like {appearance}", appearance=appearance, on_press=nothing),
                    button("Off", appearance=appearance, disabled=True, on_press=nothing),
                    gap="small",
                    alignment="middle",
                )
                for appearance in APPEARANCES
            ],
            button("With a colour of its own", text_color="periwinkle-700 periwinkle-200", on_press=nothing),
            padding="small",
            gap="small",
        )
    )


def pictures(context: Context) -> Element:
    shown = ("home", "search", "heart", "star", "chat", "upvote", "downvote", "planet", "checkmark", "add")
    return blocks(
        vstack(
            hstack(
                [
                    image("sky.png", 64, 32, description=f"Sky, {mode}", resize_mode=mode, width="56px", height="56px")
                    for mode in ("fit", "none", "fill", "cover", "scale-down")
                ],
                image("sky.png", 64, 32, description="Sky as it is"),
                gap="small",
            ),
            hstack([icon(name, size="large") for name in shown], gap="small"),
            hstack([icon(f"{name}-fill", size="large", color="orangered-500") for name in shown], gap="small"),
            hstack([icon("star", size=size) for size in ("xsmall", "small", "medium", "large")], gap="small"),
            hstack([avatar(f"t2_{size}", size=size) for size in FACES], gap="small", alignment="bottom"),
            hstack(
                [avatar(f"t2_{n}", size="medium", facing="right" if n % 2 else "left", background="dark") for n in range(8)],
                gap="small",
            ),
            hstack(
                text("invisible"), spacer(size="large"), text("thin"), spacer(size="medium", shape="thin"),
                text("square"), spacer(size="small", shape="square"), spacer(grow=True), text("pushed"),
                width=100,
            ),
            spacer(size="xsmall", shape="thin"),
            text("below a line"),
            padding="medium",
            gap="small",
        )
    )  # fmt: skip


def colors(context: Context) -> Element:
    palettes = ("orangered", "red", "sakurapink", "berrypurple", "periwinkle", "alienblue", "lightblue", "mintgreen", "kiwigreen",
                "lime", "yellow", "yelloworange", "brown", "coolgray")  # fmt: skip
    steps = (25, 50, 75, 100, 200, 300, 400, 500, 600, 700, 800, 900, 950)
    return blocks(
        vstack(
            [
                hstack(
                    [hstack(grow=True, height="24px", background_color=f"{name}-{step}") for step in steps], width=100
                )
                for name in palettes
            ],
            hstack(
                [
                    hstack(text(name, color=ink), padding="small", background_color=name, border="thin")
                    for name, ink in (
                        ("neutral-background", "neutral-content"),
                        ("neutral-background-weak", "neutral-content-weak"),
                        ("neutral-background-strong", "neutral-content-strong"),
                        ("inverted-neutral-background", "inverted-neutral-content"),
                    )
                ]
            ),
            padding="small",
            gap="none",
        )
    )


FORM: dict[str, Any] = {
    "title": "Tell us",
    "description": "Everything that a form can ask.",
    "accept_label": "Send",
    "fields": [
        {
            "type": "string",
            "name": "who",
            "label": "Who",
            "required": True,
            "help_text": "As others see it",
            "placeholder": "Ada",
        },
        {"type": "string", "name": "secret", "label": "Secret", "is_secret": True},
        {"type": "paragraph", "name": "story", "label": "Story", "line_height": 3},
        {"type": "number", "name": "age", "label": "Age", "min": 1, "max": 150},
        {"type": "boolean", "name": "agrees", "label": "Agrees", "default_value": True},
        {
            "type": "select",
            "name": "color",
            "label": "Colour",
            "options": [["Red", "red"], ["Blue", "blue"]],
            "required": True,
        },
        {"type": "select", "name": "days", "label": "Days", "multi_select": True, "options": ["Mon", "Tue", "Wed"]},
        {"type": "image", "name": "picture", "label": "Picture"},
        {
            "type": "group",
            "label": "Where",
            "fields": [
                {"type": "string", "name": "town", "label": "Town"},
                {"type": "string", "name": "land", "label": "Land", "default_value": "Utopia", "disabled": True},
            ],
        },
    ],
}


def live(context: Context) -> Element:
    count, set_count = use_state(0)
    items, set_items = use_state(["one", "two", "three", "four"])
    ticks, set_ticks = use_state(0)
    answer, set_answer = use_state("")
    heard, set_heard = use_state("")

    async def submitted(values: dict[str, Any]) -> None:
        if values["who"] == "nobody":
            raise ValueError("not today")
        set_answer(repr(sorted(values.items())))
        context.ui.show_toast("Thank you", appearance="success")

    form = use_form(FORM, submitted)
    timer = use_interval(lambda: set_ticks(lambda n: n + 1), 200)
    channel = use_channel(name="all", on_message=lambda word: set_heard(word))
    channel.subscribe()

    def spoken(data: Any, view: Any) -> None:
        set_heard(data["word"])
        view.unmount()

    page = use_web_view(url="page.html", on_message=spoken)

    def show_page() -> None:
        page.mount()
        page.post_message({"word": "from the post"})

    async def shout() -> None:
        await channel.send(f"shout {count}")

    def fail() -> None:
        raise ValueError("on purpose")

    def toast() -> None:
        context.ui.show_toast("A toast")

    def leave() -> None:
        context.ui.navigate_to("https://example.com/somewhere")

    return blocks(
        vstack(
            text(f"count {count}", size="xlarge"),
            hstack(
                button("More", on_press=lambda: set_count(lambda n: n + 1), appearance="primary"),
                button("Shout", on_press=shout),
                button("Turn", on_press=lambda: set_items(lambda now: [now[-1], *now[:-1]])),
                button("Drop", on_press=lambda: set_items(lambda now: now[1:])),
                gap="small",
            ),
            hstack(
                [button(name, key=name, on_press=lambda: set_count(100)) for name in items], gap="small", key="items"
            ),
            hstack(
                button("Form", on_press=lambda: context.ui.show_form(form)),
                button("Toast", on_press=toast),
                button("Fail", on_press=fail),
                button("Leave", on_press=leave),
                button("Page", on_press=show_page),
                gap="small",
            ),
            hstack(
                button("Start", on_press=timer.start),
                button("Stop", on_press=timer.stop),
                text(f"ticks {ticks}"),
                gap="small",
            ),
            text(f"answer {answer}", wrap=True),
            text(f"heard {heard}"),
            text("connected" if channel.status.name == "CONNECTED" else "connecting", style="metadata"),
            hstack(
                vstack(
                    text("A card to press"),
                    button("Inner", on_press=lambda: set_count(7)),
                    on_press=lambda: set_count(8),
                    label="Card",
                    padding="small",
                    border="thin",
                ),
                vstack(icon("star", label="Favourite", on_press=lambda: set_count(9))),
                zstack(
                    hstack(width="32px", height="32px", background_color="red"),
                    on_press=lambda: set_count(10),
                    label="Red",
                ),
                text("words", on_press=lambda: set_count(11)),
                gap="medium",
            ),
            padding="medium",
            gap="small",
        )
    )


def pages(context: Context) -> Element:
    heard, set_heard = use_state("nothing")

    def on_message(data: Any) -> None:
        set_heard(data["word"])
        context.ui.web_view.post_message({"word": "an answer"})

    return blocks(
        vstack(
            text(f"heard {heard}"),
            webview("page.html", on_message=on_message, width=100, height="200px", label="A page"),
            padding="medium",
            gap="medium",
        )
    )


def who(context: Context) -> Element:
    return blocks(vstack(text(f"you are {context.username or 'a stranger'}")))


def broken(context: Context) -> Element:
    raise ValueError("this page is broken on purpose")


def surroundings(context: Context) -> Element:
    seen: Any = context.ui_environment
    return blocks(text(f"{seen.color_scheme} {seen.dimensions.width:g} {seen.locale} {seen.timezone}"))


def hostile(context: Context) -> Element:
    shown, set_shown = use_state(EVIL)
    form = use_form(
        {
            "title": EVIL,
            "description": EVIL,
            "accept_label": EVIL,
            "fields": [
                {
                    "type": "string",
                    "name": EVIL,
                    "label": EVIL,
                    "help_text": EVIL,
                    "placeholder": EVIL,
                    "default_value": EVIL,
                },
                {"type": "select", "name": "s", "label": EVIL, "options": [[EVIL, EVIL]], "default_value": [EVIL]},
                {"type": "group", "label": EVIL, "fields": [{"type": "paragraph", "name": "p", "label": EVIL}]},
            ],
        },
        lambda values: set_shown(str(values)),
    )

    def attack() -> None:
        context.ui.show_toast(EVIL)
        context.ui.show_form(form)

    return blocks(
        vstack(
            text(shown, label=EVIL, key=EVIL),
            button(EVIL, on_press=attack, label="Attack"),
            image(
                "data:image/svg+xml,<svg xmlns='http://www.w3.org/2000/svg' onload='top.pwned=1'/>",
                10,
                10,
                description=EVIL,
            ),
            avatar(EVIL),
            hstack(label=EVIL, on_press=lambda: set_shown("safe"), width="20px", height="20px"),
        )
    )


PAGES = {
    "stacks": stacks, "text": texts, "buttons": buttons, "pictures": pictures, "colors": colors, "live": live, "pages": pages,
    "surroundings": surroundings, "broken": broken, "who": who, "hostile": hostile,
}  # fmt: skip
