"""Uses what a host has: events, keys, a transaction, a job, a channel."""

from datetime import UTC, datetime, timedelta
from typing import Any

from showground import Devvit

Devvit.configure(redis=True, realtime=True)


@Devvit.add_scheduler_job("tick")
async def tick(event: Any, context: Any) -> None:
    await context.redis.incrby("ticks", 1)
    await context.realtime.send("events", event["data"])


@Devvit.add_trigger("PostCreate")
async def count(event: Any, context: Any) -> dict[str, Any]:
    posts = await context.redis.incrby("posts", 1)
    async with context.redis.watch("posts") as tx:
        seen = await tx.get("posts")
        tx.multi()
        await tx.set("seen", seen)
        done = await tx.exec()
    soon = datetime.now(UTC) + timedelta(milliseconds=200)
    await context.scheduler.run_job(name="tick", run_at=soon, data={"posts": posts})
    return {"posts": posts, "done": done}
