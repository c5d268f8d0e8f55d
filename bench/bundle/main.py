"""Handlers that do as little as can be, so that what surrounds them is what is measured."""

import asyncio
import itertools
import time
from datetime import UTC, datetime

from showground import Context, Devvit, Event, use_channel, use_state
from showground.blocks import Element, blocks, button, hstack, text, vstack

Devvit.configure(redis=True, realtime=True, reddit=True)

CALLS_AT_ONCE = 64
counts = {"events": 0, "first": 0.0, "last": 0.0, "renders": 0}
late_ms: list[float] = []


@Devvit.add_trigger("PostCreate")
async def answer(event: Event, context: Context) -> dict[str, object]:
    return {"ok": True, "id": event["post"]["id"], "title": event["post"]["title"], "score": event["score"]}


@Devvit.add_trigger("PostUpdate")
async def answer_after_two_calls(event: Event, context: Context) -> dict[str, object]:
    await context.redis.get("a")
    await context.redis.get("b")
    return {"ok": True, "id": event["post"]["id"], "title": event["post"]["title"], "score": event["score"]}


@Devvit.add_trigger("PostSubmit")
async def many_gets(event: Event, context: Context) -> dict[str, float]:
    """64 loops, each of one `get` after the other; how many gets and how long."""
    await context.redis.set("key", "v" * 100)
    each = int(event["each"])

    async def loop() -> None:
        for _ in range(each):
            await context.redis.get("key")

    began = time.perf_counter()
    await asyncio.gather(*(loop() for _ in range(CALLS_AT_ONCE)))
    return {"gets": CALLS_AT_ONCE * each, "seconds": time.perf_counter() - began}


# --- events and jobs: counted, and told when asked ---


@Devvit.add_trigger("CommentCreate")
async def count(event: Event, context: Context) -> None:
    handled()


@Devvit.add_scheduler_job("tick")
async def tick(event: Event, context: Context) -> None:
    handled()
    late_ms.append(time.time() * 1000 - int(event["scheduled_at_ms"]))


def handled() -> None:
    now = time.time()
    if not counts["events"]:
        counts["first"] = now
    counts["events"] += 1
    counts["last"] = now


@Devvit.add_trigger("CommentUpdate")
async def tell(event: Event, context: Context) -> dict[str, object]:
    """What was counted since `reset`."""
    told = {**counts, "late_ms": sorted(late_ms)}
    if event.get("reset"):
        counts.update(events=0, first=0.0, last=0.0, renders=0)
        late_ms.clear()
    return told


@Devvit.add_trigger("CommentSubmit")
async def plan(event: Event, context: Context) -> None:
    """Plan one-off jobs: number *k* at `at_ms + k * every_ms`."""
    waiting = iter(range(int(event["jobs"])))

    async def planner() -> None:
        for k in waiting:
            at = datetime.fromtimestamp((event["at_ms"] + k * event["every_ms"]) / 1000, UTC)
            await context.scheduler.run_job(name="tick", run_at=at)

    await asyncio.gather(*(planner() for _ in range(CALLS_AT_ONCE)))


# --- posts: one type, which draws what the post's data names ---

SIZE = 8
numbers = itertools.count()


@Devvit.add_trigger("PostReport")
async def submit(event: Event, context: Context) -> str:
    post = await context.reddit.submit_post("bench", post_data={"kind": event["kind"]})
    return post.id


@Devvit.add_custom_post_type("bench", height="regular")
def post(context: Context) -> Element:
    return blocks(KINDS[context.post_data["kind"]]())


def counter() -> Element:
    n, set_n = use_state(0)
    return vstack(text(f"count {n}"), button("add", on_press=lambda: set_n(n + 1)))


def grid() -> Element:
    cells, set_cells = use_state([0] * (SIZE * SIZE))

    def paint(index: int) -> None:
        set_cells([1 - c if k == index else c for k, c in enumerate(cells)])

    def cell(index: int) -> Element:
        return hstack(
            key=index,
            label=f"cell {index} {'red' if cells[index] else 'white'}",
            width="28px",
            height="28px",
            background_color="#EB5757" if cells[index] else "#FFFFFF",
            on_press=paint,
            data=index,
        )

    return vstack([hstack([cell(y * SIZE + x) for x in range(SIZE)]) for y in range(SIZE)])


def shared() -> Element:
    """Every view is in the same state."""
    counts["renders"] += 1
    return vstack(text("news"), text(news()))


def own() -> Element:
    """Every view has a state of its own."""
    mine, _ = use_state(lambda: next(numbers))
    return vstack(text(f"view {mine}"), text(news()))


def news() -> str:
    last, set_last = use_state("waiting")
    channel = use_channel(name="news", on_message=lambda data: set_last(f"news {data['n']}"))
    channel.subscribe()
    return last


KINDS = {"counter": counter, "grid": grid, "shared": shared, "own": own}
