"""Server push: a job runs each minute and publishes; every open post hears of it.

At install a recurring job is planned. The job sends to the channel `events`, and the posts of this app that are subscribed to
it draw what came. The job has a key, so installing again or upgrading leaves one job, not two.
"""

from datetime import UTC, datetime

from showground import ChannelStatus, Context, Devvit, Event, use_channel, use_state
from showground.blocks import Element, blocks, hstack, text, vstack

Devvit.configure(realtime=True, reddit=True)


@Devvit.add_trigger("AppInstall", "AppUpgrade")
async def plan(event: Event, context: Context) -> str:
    return await context.scheduler.run_job(name="publish_to_channel", cron="* * * * *", key="publish")


@Devvit.add_scheduler_job("publish_to_channel")
async def publish_to_channel(event: Event, context: Context) -> None:
    await context.realtime.send("events", {"message": server_time()})


@Devvit.add_menu_item("New server push post", "subreddit", for_user_type="moderator")
async def submit(event: Event, context: Context) -> None:
    post = await context.reddit.submit_post("Server push", post_data={})
    context.ui.show_toast("Posted", appearance="success")
    context.ui.navigate_to(post)


@Devvit.add_custom_post_type("Server push", description="The server's time, as the server says it", height="regular")
def server_push(context: Context) -> Element:
    time, set_time = use_state(server_time)
    channel = use_channel(name="events", on_message=lambda data: set_time(data["message"]))
    channel.subscribe()
    live = channel.status is ChannelStatus.CONNECTED
    return blocks(
        vstack(
            hstack(
                text("●", color="#27AE60" if live else "#F2994A"),
                text("Live" if live else "Connecting…"),
                gap="small",
            ),
            text("Server time", style="heading"),
            text(time, size="xxlarge", weight="bold"),
            alignment="center middle",
            gap="medium",
            grow=True,
        )
    )


def server_time() -> str:
    return f"{datetime.now(UTC):%Y-%m-%d %H:%M:%S} UTC"
