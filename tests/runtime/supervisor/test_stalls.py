"""A machine that stands still for a while: nobody is ended for what was only late, and what hangs for ever is replaced."""

import asyncio
import os
import select
import signal
import subprocess
import time
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from showground.errors import ShowgroundError
from showground.supervisor import Policy
from showground.testing.waiting import eventually
from showground.testing.workbench import Bundle, Workbench, alive

HURRIED = Policy(spawn_s=0.5)
"""While the zygote stands still; else it has as long as always."""
PATIENT = Policy(spawn_s=30)
WHO = """
    import os

    async def run(invocation, payload, call): return str(os.getpid()).encode()
"""


class Stage:
    """A host with one worker of the app `old`, and the app `new` that has none."""

    def __init__(self, bench: Workbench, zygote: int, old: Bundle, worker: int, new: Bundle) -> None:
        self.bench = bench
        self.zygote = zygote
        self.old = old
        self.worker = worker
        self.new = new

    def stop(self) -> None:
        self.bench.supervisor._zygote._policy = HURRIED
        os.kill(self.zygote, signal.SIGSTOP)

    def go_on(self) -> None:
        self.bench.supervisor._zygote._policy = PATIENT
        os.kill(self.zygote, signal.SIGCONT)

    async def asked(self, bundle: Bundle, spawns: int = 1) -> asyncio.Task[bytes]:
        """A call of *bundle*, once the zygote has been asked for its worker, which is one of so many."""
        call = asyncio.ensure_future(self.bench.invoke(bundle))
        await eventually(lambda: len(self.bench.supervisor._zygote._spawning) == spawns)
        return call

    async def old_worker_serves(self) -> None:
        assert int(await self.bench.invoke(self.old)) == self.worker
        assert self.bench.supervisor.zygote_pid == self.zygote


@pytest.fixture
async def stage(tmp_path: Path) -> AsyncIterator[Stage]:
    async with Workbench(tmp_path, policy=Policy(backoff_s=0.01)) as bench:
        old = bench.bundle(WHO, "old")
        worker = int(await bench.invoke(old))
        zygote = bench.supervisor.zygote_pid
        assert zygote is not None
        yield Stage(bench, zygote, old, worker, bench.bundle(WHO, "new"))


async def test_a_host_that_stood_still_takes_the_worker_that_was_ready_meanwhile(stage: Stage) -> None:
    stage.stop()
    call = await stage.asked(stage.new)
    stage.go_on()
    control = stage.bench.supervisor._zygote._control
    assert control is not None
    assert select.select([control], [], [], 20)[0]  # the worker was forked, and this loop has not heard of it
    time.sleep(HURRIED.spawn_s)  # noqa: ASYNC251  # the loop is to stand still

    assert alive(int(await call))
    await stage.old_worker_serves()


async def test_a_spawn_without_an_answer_fails_alone_and_its_late_worker_is_ended(stage: Stage) -> None:
    stage.stop()
    with pytest.raises(ShowgroundError, match="did not fork") as caught:
        await stage.bench.invoke(stage.new)
    assert caught.value.code == "not_ready"
    await stage.old_worker_serves()

    stage.go_on()

    await eventually(lambda: not stage.bench.supervisor._zygote._exits.keys() - {1})
    assert stage.bench.workers() == [stage.worker]
    assert alive(int(await stage.bench.invoke(stage.new)))
    await stage.old_worker_serves()


async def test_spawns_that_one_stall_has_kept_waiting_do_not_count_as_two(stage: Stage) -> None:
    stage.stop()
    calls = [await stage.asked(stage.new), await stage.asked(stage.bench.bundle(WHO, "newer"), 2)]

    failed = await asyncio.gather(*calls, return_exceptions=True)

    assert [error.code for error in failed if isinstance(error, ShowgroundError)] == ["not_ready"] * 2
    await stage.old_worker_serves()
    stage.go_on()
    assert alive(int(await stage.bench.invoke(stage.new)))
    await stage.old_worker_serves()


async def test_a_zygote_that_answers_in_between_is_not_given_up(stage: Stage) -> None:
    for _ in range(2):
        stage.stop()
        with pytest.raises(ShowgroundError, match="did not fork"):
            await stage.bench.invoke(stage.new)
        stage.go_on()
        await eventually(lambda: stage.bench.supervisor._zygote._exits.keys() == {1})
    await stage.old_worker_serves()


async def test_a_zygote_that_hangs_is_replaced_after_two_spawns_in_a_row(stage: Stage) -> None:
    stage.stop()
    for _ in range(2):
        assert alive(stage.zygote)
        with pytest.raises(ShowgroundError, match="did not fork"):
            await stage.bench.invoke(stage.new)

    assert not alive(stage.zygote)
    stage.bench.supervisor._zygote._policy = PATIENT
    await eventually(lambda: not alive(stage.worker))
    assert alive(int(await stage.bench.invoke(stage.old)))
    assert stage.bench.supervisor.zygote_pid != stage.zygote


async def test_a_zygote_that_does_not_start_is_replaced_at_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    started: list[int] = []
    popen = subprocess.Popen

    def start(command: list[str], **more: Any) -> subprocess.Popen[bytes]:
        process = popen(command if started else ["sleep", "1000"], **more)
        started.append(process.pid)
        return process

    monkeypatch.setattr(subprocess, "Popen", start)
    async with Workbench(tmp_path, policy=Policy(backoff_s=0.01), spawn_s=HURRIED.spawn_s) as bench:
        bundle = bench.bundle(WHO)
        with pytest.raises(ShowgroundError, match="the zygote") as caught:
            await bench.invoke(bundle)
        assert caught.value.code == "not_ready"
        assert not alive(started[0])

        bench.supervisor._zygote._policy = PATIENT
        assert alive(int(await bench.invoke(bundle)))


async def test_a_zygote_that_ends_late_still_takes_along_what_its_workers_left_behind(bench: Workbench) -> None:
    bundle = bench.bundle(
        """
        import os, time

        async def run(invocation, payload, call):
            told, tell = os.pipe()
            child = os.fork()
            if child == 0:
                os.setsid()
                os.write(tell, b"x")
                time.sleep(1000)
            os.read(told, 1)
            return str(child).encode()
        """
    )
    stray, zygote = int(await bench.invoke(bundle)), bench.supervisor.zygote_pid
    assert zygote is not None
    os.kill(zygote, signal.SIGSTOP)

    closing = asyncio.ensure_future(bench.supervisor._zygote.close())
    await asyncio.sleep(0)
    bench.supervisor._zygote.kill(
        1
    )  # as is done when the socket of a worker closes, which the zygote may be ending just now
    await asyncio.wait([closing], timeout=1.5)
    assert not closing.done()
    assert alive(stray)
    os.kill(zygote, signal.SIGCONT)

    await closing
    assert [pid for pid in (stray, zygote) if alive(pid)] == []


async def test_a_zygote_that_does_not_end_is_killed(tmp_path: Path) -> None:
    async with Workbench(tmp_path, policy=Policy(end_s=0.1)) as bench:
        await bench.invoke(bench.bundle(WHO))
        zygote = bench.supervisor.zygote_pid
        assert zygote is not None
        os.kill(zygote, signal.SIGSTOP)

        await bench.supervisor._zygote.close()

        assert not alive(zygote)
