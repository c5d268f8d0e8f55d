"""The plugin as the host, an app and an operator meet it: by the public hooks, over the real web server and command line."""

import asyncio
import json
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import AsyncExitStack
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, cast

import click
import msgspec
import pytest
from click.testing import CliRunner

import showground_scheduler
from showground.cli.session import HttpSession
from showground.context.scheduler import Scheduler
from showground.errors import ShowgroundError
from showground.hookspecs import Method, Services
from showground.model import AppVersion, Installation, Invocation, JobSpec, Registration, StaticJob
from showground.plugins import Plugins
from showground.testing.clock import ManualClock
from showground.testing.conformance.scheduler import CLOCK, START_MS
from showground.testing.deliveries import MemoryDeliveries
from showground.testing.services import services
from showground.web.origins import Origins
from showground.web.server import WebServer
from showground_scheduler.options import Options

START = datetime.fromtimestamp(START_MS / 1000, UTC)
TICK = StaticJob(name="tick", cron="0 18 * * *", timezone="Europe/Berlin")


def version(*static: StaticJob) -> AppVersion:
    registration = Registration(
        capabilities=frozenset({"scheduler"}), jobs=(JobSpec(name="tick"), JobSpec(name="tock")), static_jobs=static
    )
    return AppVersion(app="clock", version="1.0.0", digest="d", entry="main.py", registration=registration)


def installed(*static: StaticJob) -> Installation:
    return Installation(id=CLOCK, app="clock", community="playground", version=version(*static), installed_at_ms=0)


@dataclass
class Host:
    plugins: Plugins
    deliveries: MemoryDeliveries
    clock: ManualClock
    members: dict[str, Mapping[str, Method]] = field(default_factory=dict)
    asked_scopes: list[str] = field(default_factory=list)

    def app(self) -> Scheduler:
        """`context.scheduler` of one invocation, with msgpack in between as on the wire."""
        invocation = Invocation(
            id="i",
            installation=CLOCK,
            app="clock",
            app_version="1.0.0",
            community="playground",
            kind="trigger",
            name="AppInstall",
            timeout_s=30,
        )

        def extend(member: str, methods: Mapping[str, Method], needs: str | None = None) -> None:
            assert (member, needs) == ("scheduler", "scheduler")
            self.members[member] = methods

        self.plugins.context(invocation, version(), extend)
        return Scheduler(self.call)

    async def call(self, member: str, method: str, *args: object) -> Any:
        travelled = msgspec.msgpack.decode(msgspec.msgpack.encode(args))
        answer = await self.members[member][method](*travelled)
        return msgspec.msgpack.decode(msgspec.msgpack.encode(answer))


@pytest.fixture
async def host() -> AsyncIterator[Host]:
    clock = ManualClock(START_MS)
    made = Host(Plugins([("scheduler", showground_scheduler)]), MemoryDeliveries(clock), clock)

    def lend(capability: str) -> Services:
        return services(clock=clock, deliveries=made.deliveries)

    async with AsyncExitStack() as stack:
        await made.plugins.enter(stack, {"scheduler": "memory"}, lend)
        yield made


# --- an app -----------------------------------------------------------------------------------------------------------


async def test_an_app_plans_a_job_and_reads_it_back(host: Host) -> None:
    scheduler = host.app()
    run_at = START + timedelta(hours=1)
    once = await scheduler.run_job(name="tick", run_at=run_at, data={"n": [1, {"deep": "ü"}]})
    often = await scheduler.run_job(name="tock", cron="*/5 * * * *", key="k", timezone="Asia/Tokyo", overlap="queue")
    first, second = await scheduler.list_jobs()
    assert (first.id, first.cron, first.key, first.timezone) == (often, "*/5 * * * *", "k", "Asia/Tokyo")
    assert (first.misfire, first.overlap, first.run_at, first.paused) == ("run_once", "queue", None, False)
    assert (second.id, second.run_at, second.next_run, second.cron) == (once, run_at, run_at, None)
    assert second.data == {"n": [1, {"deep": "ü"}]}
    assert await scheduler.cancel_job(once)
    assert not await scheduler.cancel_job(once)
    await scheduler.pause(often)
    (paused,) = await scheduler.list_jobs()
    assert (paused.paused, paused.next_run) == (True, None)
    await scheduler.resume(often)
    assert not (await scheduler.list_jobs())[0].paused


async def test_an_app_reads_how_its_runs_ended(host: Host) -> None:
    scheduler = host.app()
    job_id = await scheduler.run_job(name="tick", cron="* * * * *")
    run = await scheduler.run_now(job_id)
    host.deliveries.finish(run, result=b'{"sent": 3}')
    (ended,) = await scheduler.history(job_id)
    assert (ended.id, ended.status, ended.attempts, ended.scheduled_at) == (run, "done", 1, None)
    assert ended.result == {"sent": 3}
    assert ended.finished_at == START


async def test_an_unknown_job_name_is_refused_when_it_is_planned(host: Host) -> None:
    with pytest.raises(ShowgroundError, match=r"(?s)Job tik not found.*Did you mean tick") as refused:
        await host.app().run_job(name="tik", cron="* * * * *")
    assert refused.value.code == "not_found"
    with pytest.raises(ShowgroundError, match=r"(?s)Job other not found.*registered: tick, tock"):
        await host.app().run_job(name="other", cron="* * * * *")


async def test_a_time_without_a_zone_is_no_moment(host: Host) -> None:
    with pytest.raises(ShowgroundError, match=r"no time zone") as refused:
        await host.app().run_job(name="tick", run_at=datetime(2030, 1, 1))  # noqa: DTZ001 - the mistake in question
    assert refused.value.code == "invalid"
    with pytest.raises(ShowgroundError, match=r"run_at is a int"):
        await host.app().run_job(name="tick", run_at=cast("datetime", 5))


@pytest.mark.parametrize(
    ("method", "args"),
    [
        ("run_job", (None,)),
        ("run_job", ({"name": "tick", "cron": 5},)),
        ("run_job", ({"name": "tick", "cron": "* * * * *", "id": "mine"},)),
        ("run_job", ({"name": "tick", "cron": "* * * * *", "misfire": "never"},)),
        ("cancel_job", (["id"],)),
        ("pause", (None,)),
        ("history", ("id", 10**9)),
    ],
)
async def test_what_a_worker_may_send_wrongly_is_invalid_and_no_fault_of_the_host(
    host: Host, method: str, args: Sequence[object]
) -> None:
    host.app()
    with pytest.raises(ShowgroundError) as refused:
        await host.call("scheduler", method, *args)
    assert refused.value.code == "invalid"


# --- the host ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("static", "where", "text"),
    [
        ((StaticJob(name="tick", cron="0 0 30 2 *"),), "app.json/jobs/0/cron", "never fires"),
        ((TICK, StaticJob(name="tock", cron="5/10 * * * *")), "app.json/jobs/1/cron", "5-59/10"),
        ((StaticJob(name="tick", cron="* * * * *", timezone="Mars"),), "app.json/jobs/0/timezone", "Europe/Berlin"),
        ((StaticJob(name="tack", cron="* * * * *"),), "app.json/jobs/0", "add_scheduler_job"),
        ((TICK, TICK), "app.json/jobs/0", "own name"),
    ],
)
def test_a_static_job_that_cannot_run_refuses_the_bundle(static: Sequence[StaticJob], where: str, text: str) -> None:
    app = version(*static)
    problems = Plugins([("scheduler", showground_scheduler)]).registered(app, app.registration)
    assert where in [p.where for p in problems]
    assert all(p.message.startswith("scheduler: app clock, job '") for p in problems)
    assert text in " ".join(p.remedy for p in problems)


def test_good_static_jobs_are_let_through() -> None:
    app = version(TICK)
    assert Plugins([("scheduler", showground_scheduler)]).registered(app, app.registration) == []


async def test_static_jobs_come_with_the_install_follow_the_upgrade_and_go_with_the_uninstall(host: Host) -> None:
    scheduler = host.app()
    await host.plugins.installed(installed(TICK))
    (before,) = await scheduler.list_jobs()
    assert (before.static, before.name, before.timezone, before.key) == (True, "tick", "Europe/Berlin", None)
    tock = StaticJob(name="tock", cron="0 * * * *")
    await host.plugins.upgraded(installed(TICK, tock), installed(TICK))
    after = {job.name: job.id for job in await scheduler.list_jobs()}
    assert set(after) == {"tick", "tock"}
    assert after["tick"] == before.id
    await host.plugins.uninstalled(installed(TICK, tock))
    assert await scheduler.list_jobs() == []


def test_an_option_that_is_none_is_named() -> None:
    with pytest.raises(ShowgroundError, match=r"(?s)misfire_grace.*docs/scheduler.md") as refused:
        Options.read({"misfire_grace": 5})
    assert refused.value.code == "misconfigured"


# --- an operator ------------------------------------------------------------------------------------------------------


class Console:
    """`showground jobs …` against a real server."""

    def __init__(self, host: Host, port: int) -> None:
        self._url = f"http://127.0.0.1:{port}"
        commands: dict[str, click.Command] = {}

        def cli(command: click.Command) -> None:
            commands[command.name or ""] = command

        host.plugins.commands(cli)
        self._jobs = commands["jobs"]

    async def run(self, *words: str, as_json: bool = False) -> str:
        session = HttpSession(self._url, "secret", Path(), as_json)
        where = ("--community", "playground", "--app", "clock")
        result = await asyncio.to_thread(CliRunner().invoke, self._jobs, [*words, *where], obj=session)
        if result.exception is not None:
            raise result.exception
        return result.output


@pytest.fixture
async def console(host: Host) -> AsyncIterator[Console]:
    async def check(token: str, scope: str, community: str | None, app: str | None) -> None:
        assert (token, community, app) == ("secret", "playground", "clock")
        host.asked_scopes.append(scope)

    server = WebServer(check, Origins((), ""), lambda: False)
    host.plugins.routes(server)
    port = await server.start("127.0.0.1", 0, 1.0)
    try:
        yield Console(host, port)
    finally:
        await server.drain(1.0)
        await server.stop()


async def test_an_operator_sees_and_steers_the_jobs(host: Host, console: Console) -> None:
    await host.plugins.installed(installed(TICK))
    job_id = await host.app().run_job(name="tock", cron="* * * * *", key="k")
    listed = await console.run("list")
    assert f"{job_id}  tock  * * * * * (UTC)  next 2026-06-01 12:01:00Z key=k" in listed
    assert "tick  0 18 * * * (Europe/Berlin)  next 2026-06-01 16:00:00Z static" in listed
    assert json.loads(await console.run("show", job_id, as_json=True))["next_run_ms"] == START_MS + 50_000
    assert "paused" in await console.run("pause", job_id)
    assert "next 2026-06-01 12:01:00Z" in await console.run("resume", job_id)
    run = (await console.run("run", job_id)).split()[-1]
    host.deliveries.finish(run)
    assert "extra run  done  attempts=1  ended 2026-06-01 12:00:10Z" in await console.run("history", job_id)
    assert await console.run("cancel", job_id) == f"cancelled {job_id}\n"
    assert job_id not in await console.run("list")
    assert host.asked_scopes == ["read", "read", "deploy", "deploy", "deploy", "read", "deploy", "read"]


@pytest.mark.parametrize("command", ["show", "run", "pause", "resume", "cancel"])
async def test_a_job_that_is_not_there_is_not_found(host: Host, console: Console, command: str) -> None:
    with pytest.raises(ShowgroundError, match="has no job 'nothing'") as refused:
        await console.run(command, "nothing")
    assert refused.value.code == "not_found"


async def test_a_static_job_is_not_cancelled_by_an_operator_either(host: Host, console: Console) -> None:
    await host.plugins.installed(installed(TICK))
    (static,) = await host.app().list_jobs()
    with pytest.raises(ShowgroundError, match=r"declared in app\.json"):
        await console.run("cancel", static.id)
