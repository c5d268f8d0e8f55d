"""A job is a handler with a name. Plan it by cron, or once at a time; each slot runs once, however many hosts there are."""

from tests.fundamentals.conftest import Bundle

from showground.testing.playground import Playground

CODE = """
    from datetime import UTC, datetime, timedelta

    from showground import Devvit

    Devvit.configure(redis=True)

    @Devvit.add_scheduler_job("remind")
    async def remind(event, context):
        await context.redis.incrby(f"told:{event.data['about']}", 1)

    @Devvit.add_trigger("PostCreate")
    async def plan(event, context):
        match event.post.title:
            case "every minute":
                return await context.scheduler.run_job(name="remind", cron="* * * * *", data={"about": "cron"}, key="it")
            case title:
                at = datetime.fromtimestamp(float(event.post.body), UTC)
                return await context.scheduler.run_job(name="remind", run_at=at, data={"about": title})
"""


def wish(title: str, body: str = "") -> dict[str, object]:
    return {"post": {"id": "t3_1", "title": title, "body": body}}


async def test_a_cron_job_runs_at_each_of_its_slots(bundle: Bundle, playground: Playground) -> None:
    """Five fields, or six with leading seconds."""
    app = await playground.install(bundle("reminder", CODE))
    await playground.clock.advance(seconds=60.5 - playground.clock.now_ms / 1000 % 60)  # a minute has just begun
    await app.emit("PostCreate", wish("every minute"))
    for _ in range(3):
        await playground.clock.advance(minutes=1)
    assert await app.redis.get("told:cron") == "3"


async def test_a_job_with_a_key_is_planned_once(bundle: Bundle, playground: Playground) -> None:
    """So it may be planned at every install and upgrade."""
    app = await playground.install(bundle("reminder", CODE))
    first = await app.emit("PostCreate", wish("every minute"))
    assert await app.emit("PostCreate", wish("every minute")) == first
    assert [job.key for job in await app.context.scheduler.list_jobs()] == ["it"]


async def test_a_job_at_a_time_runs_once_and_is_gone(bundle: Bundle, playground: Playground) -> None:
    """It can be cancelled until then."""
    app = await playground.install(bundle("reminder", CODE))
    in_an_hour = str(playground.clock.now_ms / 1000 + 3600)
    await app.emit("PostCreate", wish("tea", in_an_hour))
    cancelled = await app.emit("PostCreate", wish("coffee", in_an_hour))
    assert await app.context.scheduler.cancel_job(cancelled)
    await playground.clock.advance(minutes=61)
    assert await app.redis.get("told:tea") == "1"
    assert await app.redis.get("told:coffee") is None
    assert await app.context.scheduler.list_jobs() == []
