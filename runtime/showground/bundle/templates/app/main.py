"""Says hello to every new post, on a channel that anybody in the community may listen to."""

from showground import Context, Devvit, Event

Devvit.configure(realtime=True)


@Devvit.add_trigger("PostCreate")
async def greet(event: Event, context: Context) -> str:
    greeting = f"Hello, {event.post.title}"
    await context.realtime.send("greetings", {"message": greeting})
    return greeting
