"""Reminds a member of a post, once, at a time of their choice.

The job's key is made of the member and the post, so asking again moves the reminder instead of adding one.
"""

from datetime import UTC, datetime, timedelta

from showground import Context, Devvit, Event

Devvit.configure(redis=True, realtime=True)


@Devvit.create_form(
    {
        "title": "Remind me of this post",
        "accept_label": "Remind me",
        "fields": [
            {"type": "number", "name": "minutes", "label": "In how many minutes?", "required": True},
            {"type": "string", "name": "note", "label": "A note for yourself"},
        ],
    }
)
async def plan(event: Event, context: Context) -> None:
    minutes = min(max(event.values["minutes"], 1), 60 * 24 * 365)
    await context.scheduler.run_job(
        name="remind",
        run_at=datetime.now(UTC) + timedelta(minutes=minutes),
        data={"user": context.user_id, "post": context.post_id, "note": event.values.get("note", "")},
        key=f"{context.user_id}:{context.post_id}",
    )
    context.ui.show_toast(f"You will be reminded in {minutes:g} minutes")


@Devvit.add_menu_item("Remind me", "post")
async def ask(event: Event, context: Context) -> None:
    context.ui.show_form(plan)


@Devvit.add_scheduler_job("remind")
async def remind(event: Event, context: Context) -> None:
    # A job may run twice; the second time the reminder is there already, and only the ping is repeated.
    await context.redis.hset(f"reminders:{event.data.user}", event.data.post, event.data.note)
    await context.realtime.send("reminders", event.data)
