from __future__ import annotations

import pytest

from showground.tasks import ANEW_S, Tasks
from showground.testing.clock import ManualClock
from showground.testing.waiting import eventually


async def test_kept_work_begins_anew_whatever_it_failed_of_and_ends_with_its_owner(
    caplog: pytest.LogCaptureFixture,
) -> None:
    clock, begun = ManualClock(), 0

    async def work() -> None:
        nonlocal begun
        begun += 1
        if begun < 3:
            raise LookupError(f"failure {begun}")
        await clock.sleep(10**9)

    async with Tasks() as tasks:
        task = tasks.keep("work", work, clock.sleep)
        for failures in (1, 2):
            await eventually(lambda: begun == failures)  # noqa: B023 - awaited at once
            await clock.advance(ANEW_S)
        await eventually(lambda: begun == 3)
        assert not task.done()
    assert task.cancelled()
    told = [record.exc_info[1] for record in caplog.records if record.exc_info]
    assert [str(error) for error in told] == ["failure 1", "failure 2"]
