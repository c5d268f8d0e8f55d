"""What a store owes to hosts that come late: the loop's safety rests on it, and on the queue's memory of ids."""

from collections.abc import Sequence

import msgspec
import pytest

from showground.capabilities import Job
from showground.keys import KeySpace, installation_id
from showground.redis.api import Redis
from showground.testing.clock import ManualClock
from showground_scheduler.memory_store import MemoryStore
from showground_scheduler.redis_store import RedisStore
from showground_scheduler.store import Claim, JobStore, Move

CLOCK = installation_id("clock", "playground")
NOW = 1_700_000_000_000


@pytest.fixture
def clock() -> ManualClock:
    return ManualClock(NOW)


@pytest.fixture(params=["memory", "redis"])
def store(request: pytest.FixtureRequest, clock: ManualClock) -> JobStore:
    if request.param == "memory":
        return MemoryStore(clock.now_ms)
    redis: Redis = request.getfixturevalue("redis")
    keys: KeySpace = request.getfixturevalue("keys")
    return RedisStore(redis, keys, clock)


def recurring(job_id: str = "a", **fields: object) -> Job:
    job = Job(id=job_id, name="tick", installation=CLOCK, cron="* * * * *", next_run_ms=NOW)
    return msgspec.structs.replace(job, **fields)


async def claim(store: JobStore, limit: int = 10) -> tuple[int, Claim]:
    """The shard with something due, and what is due there."""
    for shard in range(store.shards):
        found = await store.claim(shard, limit, 2000)
        if found.entries:
            return shard, found
    return 0, found


async def next_runs(store: JobStore) -> Sequence[int | None]:
    return [entry.job.next_run_ms for entry in await store.all_of(CLOCK)]


async def test_what_one_host_has_claimed_no_other_gets_until_the_claim_runs_out(
    store: JobStore, clock: ManualClock
) -> None:
    await store.create(recurring(), NOW, None)
    _, first = await claim(store)
    assert [e.job.id for e in first.entries] == ["a"]
    clock.jump(1.999)
    assert (await claim(store))[1].entries == ()
    clock.jump(0.001)
    assert (await claim(store))[1].entries == first.entries


async def test_a_host_that_settles_late_moves_nothing_back(store: JobStore, clock: ManualClock) -> None:
    await store.create(recurring(), NOW, None)
    shard, stale = await claim(store)
    clock.jump(2)
    _, fresh = await claim(store)
    await store.settle(shard, [Move(fresh.entries[0], NOW + 60_000)])
    for late in (Move(stale.entries[0], NOW + 1), Move(stale.entries[0], None), Move(stale.entries[0], NOW, NOW)):
        await store.settle(shard, [late])
        assert await next_runs(store) == [NOW + 60_000]
    clock.jump(57.999)
    assert (await claim(store))[1].entries == ()


async def test_a_job_that_was_changed_after_the_claim_keeps_the_change(store: JobStore) -> None:
    await store.create(recurring(key="k"), NOW, None)
    shard, stale = await claim(store)
    # The same slot as before, but of another schedule: only the generation tells them apart.
    await store.create(recurring("b", key="k", cron="*/2 * * * *"), NOW, None)
    await store.settle(shard, [Move(stale.entries[0], NOW + 60_000)])
    assert await next_runs(store) == [NOW]
    (entry,) = await store.all_of(CLOCK)
    assert await store.switch(entry, None)
    assert not await store.switch(entry, NOW)
    await store.settle(shard, [Move(entry, NOW + 60_000)])
    assert await next_runs(store) == [None]


async def test_a_batch_is_bounded_and_says_that_more_is_due(store: JobStore) -> None:
    for number in range(5):
        await store.create(recurring(f"j{number}", next_run_ms=NOW - number), NOW, None)
    _, first = await claim(store, limit=3)
    assert ([e.job.id for e in first.entries], first.full) == (["j4", "j3", "j2"], True)
    assert first.wake_ms == NOW - 1
    _, rest = await claim(store, limit=3)
    assert ([e.job.id for e in rest.entries], rest.full, rest.wake_ms) == (["j1", "j0"], False, NOW + 2000)
