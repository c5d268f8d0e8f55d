from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from functools import partial

import pytest

from showground.errors import Problem, ShowgroundError
from showground.keys import InstallationId, KeySpace
from showground.redis.api import Redis
from showground.testing.clock import ManualClock
from showground.testing.waiting import eventually

from .hosts import Died, Host, World, host, lose_lease

COUNTER = InstallationId("counter:playground")


async def _fail() -> None:
    raise RuntimeError("no disk")


async def _die() -> None:
    raise Died


async def _until_seen(on: Host, version: str | None) -> None:
    def is_seen() -> bool:
        found = on.installations.get(COUNTER)
        return (found.version.version if found else None) == version

    await eventually(is_seen)


async def test_an_install_is_recorded_before_plugins_hear_of_it_and_the_app_last(redis: Redis, keys: KeySpace) -> None:
    world = World()
    world.upload("1.0.0")
    async with host(redis, keys, world) as a:
        made = await a.lifecycle.install("playground", "counter", actor="ada")
        assert a.installations.get(COUNTER) == made
        assert [i.id for i in a.installations.subscribers("playground", "PostCreate")] == [COUNTER]
        assert a.installations.subscribers("playground", "PostDelete") == ()
        assert a.installations.subscribers("elsewhere", "PostCreate") == ()
    assert world.happened == ["installed", "AppInstall"]
    ((kind, data),) = world.emitted.values()
    assert kind == "AppInstall"
    assert data["installer"] == {"id": "t2_ada", "name": "ada"}
    assert isinstance(data["subreddit"], dict)
    assert data["subreddit"]["name"] == "playground"


async def test_the_same_version_again_changes_nothing(redis: Redis, keys: KeySpace) -> None:
    world = World()
    world.upload("1.0.0")
    async with host(redis, keys, world) as a:
        first = await a.lifecycle.install("playground", "counter")
        assert await a.lifecycle.install("playground", "counter") == first
    assert world.happened == ["installed", "AppInstall"]


async def test_every_host_sees_an_upgrade_and_a_rollback(redis: Redis, keys: KeySpace) -> None:
    world = World()
    world.upload("1.0.0")
    async with host(redis, keys, world) as a, host(redis, keys, world) as b:
        await a.lifecycle.install("playground", "counter")
        await _until_seen(b, "1.0.0")
        world.upload("1.1.0", events=["PostDelete"])
        await b.lifecycle.install("playground", "counter")
        await _until_seen(a, "1.1.0")
        assert a.installations.subscribers("playground", "PostCreate") == ()
        assert len(a.installations.subscribers("playground", "PostDelete")) == 1
        back = await a.lifecycle.rollback("playground", "counter")
        assert (back.version.version, back.revision) == ("1.0.0", 3)
        await _until_seen(b, "1.0.0")
        assert world.observed == ["app_install", "app_upgrade", "app_upgrade"]
        with pytest.raises(ShowgroundError) as refused:
            await b.lifecycle.rollback("playground", "counter")
        assert refused.value.code == "conflict"
    assert world.happened == [
        "installed",
        "AppInstall",
        "upgraded 1.0.0 -> 1.1.0",
        "AppUpgrade",
        "upgraded 1.1.0 -> 1.0.0",
        "AppUpgrade",
    ]
    assert len(world.emitted) == 3


async def test_a_host_that_missed_the_announcement_catches_up_by_the_revision(redis: Redis, keys: KeySpace) -> None:
    world = World()
    world.upload("1.0.0")
    async with host(redis, keys, world) as a:
        await a.lifecycle.install("playground", "counter")
        lease = await a.journal.acquire(COUNTER)
        # A write that nobody announces: what a lost Pub/Sub message looks like.
        await redis.call("HDEL", keys.host("installations"), COUNTER)
        await redis.call("HINCRBY", keys.host("installations"), "!revision", 1)
        await _until_seen(a, None)
        await a.journal.finish(lease)


async def test_uninstall_delivers_the_last_event_before_it_removes_anything(redis: Redis, keys: KeySpace) -> None:
    world = World()
    world.upload("1.0.0")
    async with host(redis, keys, world) as a:
        await a.lifecycle.install("playground", "counter")
        world.happened.clear()
        seen: list[object] = []

        async def look() -> None:
            seen.append(a.installations.get(COUNTER))
            seen.append(a.installations.subscribers("playground", "PostCreate"))

        world.at["AppUninstall waits"] = look
        await a.lifecycle.uninstall("playground", "counter")
        assert seen[0] is not None, "it must still be there to handle its last event"
        assert seen[1] == (), "but nothing new may be sent to it"
        assert a.installations.get(COUNTER) is None
        assert world.happened == ["AppUninstall waits", "cleared", "uninstalled"]
        assert await a.journal.unfinished() == []
        with pytest.raises(ShowgroundError) as missing:
            await a.lifecycle.uninstall("playground", "counter")
        assert missing.value.code == "not_found"
        again = await a.lifecycle.install("playground", "counter")
        assert again.revision == 1
    assert [kind for kind, _ in world.emitted.values()] == ["AppInstall", "AppUninstall", "AppInstall"]


async def test_an_app_that_never_answers_its_last_event_is_removed_all_the_same(redis: Redis, keys: KeySpace) -> None:
    world = World()
    world.upload("1.0.0")
    async with host(redis, keys, world) as a:
        await a.lifecycle.install("playground", "counter")
        world.at["AppUninstall waits"] = _fail
        await a.lifecycle.uninstall("playground", "counter")
        assert a.installations.get(COUNTER) is None


@pytest.mark.parametrize("how", [_fail, asyncio.Event().wait])
async def test_a_plugin_that_fails_or_hangs_undoes_the_install(redis: Redis, keys: KeySpace, how: object) -> None:
    world = World()
    world.upload("1.0.0")
    async with host(redis, keys, world, hook_deadline_s=0.5) as a:
        world.at["installed"] = how  # type: ignore[assignment]
        with pytest.raises(ShowgroundError) as failed:
            await a.lifecycle.install("playground", "counter")
        assert failed.value.code == "plugin_error"
        assert a.installations.get(COUNTER) is None
        assert world.happened == ["installed", "uninstalled", "cleared"]
        assert await a.journal.unfinished() == []
    del world.at["installed"]
    async with host(redis, keys, world) as a:
        await a.lifecycle.install("playground", "counter")


async def test_a_plugin_that_fails_undoes_the_upgrade(redis: Redis, keys: KeySpace) -> None:
    world = World()
    world.upload("1.0.0")
    async with host(redis, keys, world) as a:
        before = await a.lifecycle.install("playground", "counter")
        world.upload("2.0.0")
        world.at["upgraded 1.0.0 -> 2.0.0"] = _fail
        with pytest.raises(ShowgroundError, match="undone"):
            await a.lifecycle.install("playground", "counter", "2.0.0")
        assert a.installations.get(COUNTER) == before
        assert world.happened[2:] == ["upgraded 1.0.0 -> 2.0.0", "upgraded 2.0.0 -> 1.0.0"]


async def test_a_rollback_is_refused_with_the_reason_when_something_declared_is_gone(
    redis: Redis, keys: KeySpace
) -> None:
    world = World()
    world.upload("1.0.0")
    async with host(redis, keys, world) as a:
        await a.lifecycle.install("playground", "counter")
        world.upload("2.0.0")
        await a.lifecycle.install("playground", "counter")
        world.problems = [Problem("configure.greeter", "no plugin provides greeter", "Install one.")]
        with pytest.raises(ShowgroundError) as refused:
            await a.lifecycle.rollback("playground", "counter")
        assert refused.value.code == "conflict"
        assert [p.message for p in refused.value.details] == ["no plugin provides greeter"]
        world.problems = []
        del world.versions["1.0.0"]
        with pytest.raises(ShowgroundError, match="no longer stored"):
            await a.lifecycle.rollback("playground", "counter")
        assert await a.journal.unfinished() == []


@pytest.mark.parametrize("point", ["installed", "AppInstall"])
async def test_an_install_whose_host_dies_is_finished_by_another(redis: Redis, keys: KeySpace, point: str) -> None:
    world = World()
    world.upload("1.0.0")
    async with host(redis, keys, world, lease_s=0.05) as a, host(redis, keys, world) as b:
        world.at[point] = _die
        with pytest.raises(Died):
            await a.lifecycle.install("playground", "counter")
        assert world.emitted == {}
        del world.at[point]
        await eventually(b.lifecycle.recover)
        await _until_seen(b, "1.0.0")
        assert [kind for kind, _ in world.emitted.values()] == ["AppInstall"]
        assert await b.journal.unfinished() == []


@pytest.mark.parametrize("point", ["AppUninstall waits", "cleared", "uninstalled"])
async def test_an_uninstall_whose_host_dies_is_finished_by_another(redis: Redis, keys: KeySpace, point: str) -> None:
    world = World()
    world.upload("1.0.0")
    async with host(redis, keys, world, lease_s=0.05) as a, host(redis, keys, world) as b:
        await a.lifecycle.install("playground", "counter")
        world.at[point] = _die
        with pytest.raises(Died):
            await a.lifecycle.uninstall("playground", "counter")
        del world.at[point]
        await eventually(b.lifecycle.recover)
        await _until_seen(b, None)
        assert world.happened[-2:] == ["cleared", "uninstalled"]
        assert await b.journal.unfinished() == []
        assert len(world.emitted) == 2


async def test_clean_up_that_fails_is_repeated_until_it_is_done(redis: Redis, keys: KeySpace) -> None:
    world = World()
    world.upload("1.0.0")
    async with host(redis, keys, world, recovery_pause_s=60) as a:
        await a.lifecycle.install("playground", "counter")
        world.at["uninstalled"] = _fail
        with pytest.raises(ShowgroundError, match="will be repeated"):
            await a.lifecycle.uninstall("playground", "counter")
        assert a.installations.get(COUNTER) is None
        assert await a.lifecycle.recover() == 0, "not before the pause is over"
        del world.at["uninstalled"]
        await lose_lease(redis, keys, COUNTER)
        assert await a.lifecycle.recover() == 1
        assert await a.journal.unfinished() == []


async def test_an_event_that_is_refused_for_good_undoes_the_install_and_a_full_queue_delays_it(
    redis: Redis, keys: KeySpace
) -> None:
    world = World()
    world.upload("1.0.0")
    code = "invalid"

    async def refuse() -> None:
        raise ShowgroundError(code, "no")

    world.at["AppInstall"] = refuse
    async with host(redis, keys, world) as a:
        with pytest.raises(ShowgroundError):
            await a.lifecycle.install("playground", "counter")
        assert a.installations.get(COUNTER) is None
        assert await a.journal.unfinished() == []
        code = "overloaded"
        with pytest.raises(ShowgroundError):
            await a.lifecycle.install("playground", "counter")
        assert a.installations.get(COUNTER) is not None
        del world.at["AppInstall"]
        assert await a.lifecycle.recover() == 1
        assert [kind for kind, _ in world.emitted.values()] == ["AppInstall"]
        assert await a.journal.unfinished() == []


async def test_two_hosts_never_change_one_installation_at_once(redis: Redis, keys: KeySpace) -> None:
    world = World()
    world.upload("1.0.0")
    async with host(redis, keys, world) as a, host(redis, keys, world) as b:
        inside, go_on = asyncio.Event(), asyncio.Event()

        async def pause() -> None:
            inside.set()
            await go_on.wait()

        world.at["installed"] = pause
        first = asyncio.ensure_future(a.lifecycle.install("playground", "counter"))
        await inside.wait()
        with pytest.raises(ShowgroundError) as busy:
            await b.lifecycle.uninstall("playground", "counter")
        assert busy.value.code == "conflict"
        assert busy.value.retry_after is not None
        go_on.set()
        await first


async def _exceeds(number: Callable[[], Awaitable[int]], bound: int) -> bool:
    return await number() > bound


async def test_a_lease_is_kept_for_as_long_as_its_host_is_at_work(
    redis: Redis, keys: KeySpace, clock: ManualClock
) -> None:
    """Before a lease's time has passed on the clock of its host, it begins anew by Redis' own."""
    world = World()
    world.upload("1.0.0")
    async with host(redis, keys, world, lease_s=60, journal_clock=clock) as slow, host(redis, keys, world) as quick:

        async def end_ms() -> int:
            lease = await redis.call("HGET", keys.host("installations"), f"!lease {COUNTER}")
            return int(lease.split()[1])

        async def now_ms() -> int:
            seconds, micros = await redis.call("TIME")
            return int(seconds) * 1000 + int(micros) // 1000

        async def look_for_three_leases() -> None:
            for _ in range(3):
                before = await end_ms()
                await eventually(partial(_exceeds, now_ms, before - 60_000))  # so that a lease from now on ends later
                await clock.advance(0.9 * 60)
                await eventually(partial(_exceeds, end_ms, before))
                assert await quick.lifecycle.recover() == 0

        world.at["installed"] = look_for_three_leases
        await slow.lifecycle.install("playground", "counter")
    assert world.happened == ["installed", "AppInstall"]


async def test_a_host_that_lost_its_lease_writes_nothing(redis: Redis, keys: KeySpace, clock: ManualClock) -> None:
    world = World()
    world.upload("1.0.0")
    # A host that is stopped (SIGSTOP, a paused machine) renews nothing: its clock stands still.
    async with (
        host(redis, keys, world, lease_s=0.01, journal_clock=clock) as slow,
        host(redis, keys, world) as quick,
    ):
        inside, go_on = asyncio.Event(), asyncio.Event()

        async def pause() -> None:
            if not inside.is_set():
                inside.set()
                await go_on.wait()

        world.at["installed"] = pause
        first = asyncio.ensure_future(slow.lifecycle.install("playground", "counter"))
        await inside.wait()
        await eventually(quick.lifecycle.recover)
        go_on.set()
        with pytest.raises(ShowgroundError, match="took this change over"):
            await first
        found = quick.installations.get(COUNTER)
        assert found is not None
        assert found.revision == 1
        assert len(world.emitted) == 1
