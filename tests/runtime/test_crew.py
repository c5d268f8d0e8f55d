from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

import pytest

from showground.crew import Crew
from showground.tasks import Tasks
from showground.testing.waiting import eventually


@pytest.fixture
async def tasks() -> AsyncIterator[Tasks]:
    async with Tasks() as made:
        yield made


@pytest.fixture
def crew(tasks: Tasks) -> Crew:
    return Crew("work", tasks)


async def test_pieces_of_work_run_at_the_same_time_and_their_tasks_are_used_again(crew: Crew, tasks: Tasks) -> None:
    gate, done = asyncio.Event(), 0

    async def work() -> None:
        nonlocal done
        await gate.wait()
        done += 1

    for _ in range(3):
        for _ in range(10):
            crew.start(work())
        assert crew.busy == 10
        gate.set()
        await crew.finish(5)
        gate.clear()
    assert (done, crew.busy, len(tasks)) == (30, 0, 10)


async def test_cancelling_one_piece_of_work_leaves_its_task_to_the_next(crew: Crew, tasks: Tasks) -> None:
    heard: list[str] = []

    async def work(name: str) -> None:
        try:
            await asyncio.Event().wait()
        except asyncio.CancelledError:
            heard.append(name)
            raise

    async def short(name: str) -> None:
        async with asyncio.timeout(5):  # would fail if the cancellation before were still counted
            await asyncio.sleep(0)
        heard.append(name)

    first = crew.start(work("first"))
    await asyncio.sleep(0)
    first.cancel()
    await eventually(lambda: not crew.busy)
    first.cancel()  # ended; nothing is left to cancel
    crew.start(short("second"))
    await eventually(lambda: not crew.busy)
    assert heard == ["first", "second"]
    assert len(tasks) == 1


async def test_work_that_is_cancelled_before_its_turn_never_begins(crew: Crew) -> None:
    begun: list[str] = []

    async def work(name: str) -> None:
        begun.append(name)

    crew.start(work("a")).cancel()  # by a fresh task
    await eventually(lambda: not crew.busy)
    crew.start(work("b")).cancel()  # by one that waited
    await eventually(lambda: not crew.busy)
    crew.start(work("c"))
    await eventually(lambda: not crew.busy)
    assert begun == ["c"]


async def test_what_fails_is_logged_and_its_task_goes_on(
    crew: Crew, tasks: Tasks, caplog: pytest.LogCaptureFixture
) -> None:
    async def fail() -> None:
        raise ValueError("broken")

    crew.start(fail())
    await eventually(lambda: not crew.busy)
    crew.start(asyncio.sleep(0))
    await eventually(lambda: not crew.busy)
    assert len(tasks) == 1
    assert [record.getMessage() for record in caplog.records] == ["work failed"]
    caplog.clear()


async def test_the_end_of_the_owner_ends_what_runs_and_refuses_what_comes(crew: Crew, tasks: Tasks) -> None:
    ended: list[str] = []

    async def work(name: str) -> None:
        try:
            await asyncio.Event().wait()
        finally:
            ended.append(name)

    crew.start(work("runs"))
    await asyncio.sleep(0)
    crew.start(work("never began"))
    await tasks.close()
    assert (ended, crew.busy) == (["runs"], 0)
    late = work("late")
    with pytest.raises(RuntimeError):
        crew.start(late)


async def test_work_that_is_cancelled_just_before_its_owner_closes_does_not_hold_up_the_end(
    caplog: pytest.LogCaptureFixture,
) -> None:
    """Two cancellations of one task, of which the work sees one."""
    begun = asyncio.Event()

    async def work() -> None:
        begun.set()
        try:
            await asyncio.Event().wait()
        finally:
            await asyncio.sleep(0)
            await asyncio.sleep(0)

    tasks = Tasks()
    job = Crew("work", tasks).start(work())
    await begun.wait()
    job.cancel()
    await tasks.close()
    assert len(tasks) == 0
    assert not caplog.records
