"""From a bundle to its handler and back: a whole host, a real worker, a real Redis, real seconds."""

from datetime import datetime
from pathlib import Path
from textwrap import dedent
from typing import Any
from zoneinfo import ZoneInfo

import pytest

from showground.errors import ShowgroundError
from showground.keys import KeySpace
from showground.testing.host import HostUnderTest, running_host
from showground.testing.waiting import eventually

MAIN = dedent("""
    from datetime import UTC, datetime, timedelta

    from showground import Devvit

    Devvit.configure(redis=True)

    @Devvit.add_scheduler_job("tick")
    async def tick(event, context):
        await context.redis.incrby("ticks", 1)
        return {"data": event["data"], "slot": event["scheduled_at_ms"], "key": context.idempotency_key, "id": event["job_id"]}

    @Devvit.add_scheduler_job("nightly")
    def nightly(event, context):
        return "good night"

    @Devvit.add_trigger("PostCreate")
    async def plan(event, context):
        often = await context.scheduler.run_job(name="tick", cron="* * * * * *", key="often")
        again = await context.scheduler.run_job(name="tick", cron="* * * * * *", key="often")
        try:
            await context.scheduler.run_job(name="tok", cron="* * * * *")
        except Exception as error:
            refused = str(error)
        jobs = await context.scheduler.list_jobs()
        # Last: the machine may take as long as it likes, and it is gone from the list once it has run.
        soon = datetime.now(UTC) + timedelta(milliseconds=300)
        once = await context.scheduler.run_job(name="tick", run_at=soon, data={"n": [1]})
        return {"once": once, "often": often, "again": again, "refused": refused, "jobs": sorted(j.name for j in jobs)}
""")
MANIFEST = """{"name": "clock", "version": "1.0.0", "permissions": {"redis": true},
               "jobs": [{"name": "nightly", "cron": "30 HOUR * * *", "timezone": "Europe/Berlin"}]}"""
JOBS = "/api/v1/communities/playground/apps/clock/jobs"


@pytest.fixture
def bundle(tmp_path: Path) -> Path:
    folder = tmp_path / "clock"
    folder.mkdir()
    (folder / "main.py").write_text(MAIN)
    never_now = (datetime.now(ZoneInfo("Europe/Berlin")).hour + 12) % 24
    (folder / "app.json").write_text(MANIFEST.replace("HOUR", str(never_now)))
    return folder


async def runs(host: HostUnderTest, job: str) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = (await host.call("GET", f"{JOBS}/{job}/history?limit=50"))["runs"]
    return found


async def test_what_an_app_plans_runs_in_its_worker_and_its_history_says_so(
    tmp_path: Path, bundle: Path, redis_url: str, keys: KeySpace
) -> None:
    async with running_host(tmp_path / "data", redis_url, keys.prefix) as host:
        await host.install(bundle)
        (nightly,) = (await host.call("GET", JOBS))["jobs"]
        assert (nightly["name"], nightly["static"], nightly["timezone"]) == ("nightly", True, "Europe/Berlin")

        answer = await host.emit("PostCreate", {"post": {"id": "t3_1", "title": "Hi"}})
        (outcome,) = answer["events"][0]["deliveries"]
        planned = outcome["result"]
        assert planned["often"] == planned["again"]
        assert "Job tok not found" in planned["refused"]
        assert planned["jobs"] == ["nightly", "tick"]

        async def both_ran() -> bool:
            often = [run for run in await runs(host, planned["often"]) if run["status"] == "done"]
            return len(often) >= 2 and len(await runs(host, planned["once"])) == 1

        await eventually(both_ran, 20)
        (once,) = await runs(host, planned["once"])
        assert (once["status"], once["result"]["data"], once["result"]["id"]) == ("done", {"n": [1]}, planned["once"])
        assert once["run"] == once["result"]["key"] == f"{planned['once']}@{once['scheduled_at_ms']}"
        often = await runs(host, planned["often"])
        done = {run["scheduled_at_ms"]: run["result"]["slot"] for run in often if run["status"] == "done"}
        assert all(slot == scheduled_at_ms for scheduled_at_ms, slot in done.items())
        # A run that takes longer than a second has the slots after it skipped, and stands behind them.
        assert {run["status"] for run in often} <= {"done", "skipped"}
        ended = sorted(run["scheduled_at_ms"] for run in often if run["scheduled_at_ms"] <= max(done))
        assert ended == list(range(ended[0], max(done) + 1, 1000)), "each second once"

        run = (await host.call("POST", f"{JOBS}/{nightly['id']}/run"))["run"]
        await eventually(lambda: _ended(host, nightly["id"], run), 20)
        with pytest.raises(ShowgroundError, match="Unable to cancel action"):
            await host.call("DELETE", f"{JOBS}/{nightly['id']}")
        await host.call("DELETE", f"{JOBS}/{planned['often']}")
        assert [j["name"] for j in (await host.call("GET", JOBS))["jobs"]] == ["nightly"]


async def _ended(host: HostUnderTest, job: str, run: str) -> bool:
    return [(r["run"], r["status"], r["result"]) for r in await runs(host, job)] == [(run, "done", "good night")]
