"""A host that has no descriptors left says so to whoever needs a worker, forgets the worker that never was, and goes on later."""

import os
import resource
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from showground.errors import ShowgroundError
from showground.supervisor import Policy
from showground.testing.workbench import Workbench

ECHO = "async def run(invocation, payload, call): return payload"


@contextmanager
def descriptors_left(count: int) -> Iterator[None]:
    """This process can open so many more, and no others."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    taken = [os.open(os.devnull, os.O_RDONLY)]
    resource.setrlimit(resource.RLIMIT_NOFILE, (taken[0] + 32, hard))
    try:
        try:
            while True:
                taken.append(os.open(os.devnull, os.O_RDONLY))
        except OSError:
            pass
        for _ in range(count):
            os.close(taken.pop())
        yield
    finally:
        for descriptor in taken:
            os.close(descriptor)
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


@pytest.mark.parametrize(
    "count",
    [
        pytest.param(0, id="socket of the worker"),
        pytest.param(2, id="pipe of its output"),
        pytest.param(4, id="socket of the zygote"),
        pytest.param(6, id="process of the zygote"),
    ],
)
async def test_a_worker_that_cannot_be_made_is_not_ready_and_leaves_nothing(tmp_path: Path, count: int) -> None:
    policy = Policy(backoff_s=60, backoff_max_s=60)  # so that it is not tried again here
    async with Workbench(tmp_path, policy=policy) as bench:
        bundle = bench.bundle(ECHO)
        before = len(os.listdir("/proc/self/fd"))

        with descriptors_left(count):
            with pytest.raises(ShowgroundError, match="Too many open files") as called:
                await bench.invoke(bundle)
            with pytest.raises(ShowgroundError, match="Too many open files") as again:
                await bench.invoke(bundle)
            with pytest.raises(ShowgroundError, match="Too many open files") as checked:
                await bench.check(bundle)

        assert {error.value.code for error in (called, again, checked)} == {"not_ready"}
        assert len(os.listdir("/proc/self/fd")) == before
        await bench.check(bundle)
        [stats] = bench.supervisor.stats()
        assert (stats.workers, stats.starting, stats.starts, stats.failures_in_a_row) == (0, False, 1, 1)
        await bench.supervisor.drain(bundle.version.digest)
        assert await bench.invoke(bundle, payload=b"x") == b"x"
        assert [text for text in bench.said() if "ended" in text] == []
