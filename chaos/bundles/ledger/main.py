"""Writes down everything that it was asked to do, so that a chaos run can count it afterwards."""

from datetime import UTC, datetime
from typing import Any
from zlib import crc32

from showground import Context, Devvit, Event, ShowgroundError, use_channel, use_state
from showground.blocks import Element, blocks, button, text, vstack

Devvit.configure(redis=True, realtime=True, reddit=True)

KEPT_SEGMENTS = 40


@Devvit.add_trigger("PostCreate")
async def note(event: Event, context: Context) -> None:
    """The post's title says how the handling is to go: well, badly at first, or never."""
    if event.post.title == "never":
        raise RuntimeError("on purpose, always")
    if event.post.title == "later" and context.attempt == 1:
        raise RuntimeError("on purpose, once")
    await context.redis.hset("keys", context.idempotency_key, event.post.id)
    await context.redis.hincrby("events", event.post.id, 1)


@Devvit.add_trigger("chaos.plan")
async def plan(event: Event, context: Context) -> list[str]:
    """Plan jobs; with their keys, so that asking again plans none twice."""
    return [await plan_one(job, context) for job in event.jobs]


async def plan_one(job: Any, context: Context) -> str:
    if job.cron is not None:
        return await context.scheduler.run_job(name="tick", cron=job.cron, key=job.key, misfire="all", overlap="allow")
    at = datetime.fromtimestamp(job.at_ms / 1000, UTC)
    return await context.scheduler.run_job(name="tick", run_at=at, key=job.key, misfire="all", overlap="allow")


@Devvit.add_trigger("chaos.stop")
async def stop(event: Event, context: Context) -> int:
    jobs = await context.scheduler.list_jobs()
    for job in jobs:
        await context.scheduler.cancel_job(job.id)
    return len(jobs)


@Devvit.add_scheduler_job("tick")
async def tick(event: Event, context: Context) -> None:
    await context.redis.hincrby("ticks", context.idempotency_key, 1)


@Devvit.add_trigger("chaos.fill")
async def fill(event: Event, context: Context) -> str:
    """Write until not even a byte more is taken; returns the code of the refusal."""
    refusal, size = "", 500_000
    while size:
        try:
            await context.redis.append(f"fill{size}", "x" * size)
        except ShowgroundError as error:
            if error.code == "store_unavailable":
                raise  # asked again, it goes on from here
            refusal, size = error.code, size // 8
    await context.redis.hget("events", "t3_none")  # reading goes on
    return refusal


@Devvit.add_trigger("chaos.free")
async def free(event: Event, context: Context) -> bool:
    size = 500_000
    while size:
        await context.redis.delete(f"fill{size}")
        size //= 8
    return bool(await context.redis.set("room", "again"))


@Devvit.add_trigger("chaos.open")
async def open_post(event: Event, context: Context) -> str:
    post = await context.reddit.submit_post("Ledger", post_data={})
    return post.id


@Devvit.add_custom_post_type("Ledger")
def ledger(context: Context) -> Element:
    own, set_own = use_state(0)
    told, set_told = use_state("away")
    # What was heard without interruption: [first, how many, a digest of all of them], the newest last.
    heard, set_heard = use_state({"whole": False, "segments": list[list[int]]()})

    def hear(data: Any) -> None:
        number = data["n"]

        def add(now: dict[str, Any]) -> dict[str, Any]:
            done, last = now["segments"][:-1], now["segments"][-1:]
            if now["whole"]:
                first, count, digest = last[0]
                last = [[first, count + 1, crc32(b"%d" % number, digest)]]
            else:
                last = [*last, [number, 1, crc32(b"%d" % number)]]
            return {"whole": True, "segments": [*done, *last][-KEPT_SEGMENTS:]}

        set_heard(add)

    def lose() -> None:
        set_told("away")
        set_heard(lambda now: {**now, "whole": False})

    channel = use_channel(name="news", on_message=hear, on_subscribed=lambda: set_told("here"), on_unsubscribed=lose)
    channel.subscribe()
    return blocks(
        vstack(
            text(f"own {own}"),
            text(f"channel {told}"),
            text(f"heard {heard['segments']}"),
            button("Add own", on_press=lambda: set_own(lambda now: now + 1)),
        )
    )
