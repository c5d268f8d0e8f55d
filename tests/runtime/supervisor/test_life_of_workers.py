"""Start when needed, restart with back-off, rest when idle, drain for upgrades, and leave nothing behind."""

import asyncio
import os
import random
import signal
import struct
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from textwrap import dedent

import msgspec
import pytest

from showground.errors import ShowgroundError
from showground.supervisor import Policy
from showground.testing.clock import ManualClock
from showground.testing.workbench import Workbench, alive
from showground.worker.frames import DRAIN

DRAIN_FRAME = struct.pack(">I", 2) + msgspec.msgpack.encode([DRAIN])
PATIENT = """
    import asyncio, os

    async def run(invocation, payload, call):
        if invocation.name == "exit": os._exit(3)
        if invocation.name == "wait": await call("gate", "wait")
        return str(os.getpid()).encode()
"""


class Gate:
    """Holds handlers until it is opened, and tells when the first has come."""

    def __init__(self, bench: Workbench) -> None:
        self.opened = asyncio.Event()
        self.reached = asyncio.Event()
        bench.members.members["gate"] = ({"wait": self.wait}, None)

    async def wait(self) -> None:
        self.reached.set()
        await self.opened.wait()


async def test_nothing_runs_before_the_first_call_and_nothing_after_close(tmp_path: Path) -> None:
    before = len(os.listdir("/proc/self/fd"))
    async with Workbench(tmp_path) as bench:
        assert bench.supervisor.zygote_pid is None
        for name in ("one", "two"):
            await bench.invoke(bench.bundle(PATIENT, name))
        pids = [*bench.workers(), bench.supervisor.zygote_pid]
        assert len(pids) == 3

    assert [pid for pid in pids if pid is None or alive(pid)] == []
    assert len(os.listdir("/proc/self/fd")) == before


async def test_a_drained_version_finishes_what_runs_and_what_waits(tmp_path: Path) -> None:
    async with Workbench(tmp_path, policy=Policy(in_flight=1)) as bench:
        bundle, gate = bench.bundle(PATIENT), Gate(bench)
        calls = [asyncio.ensure_future(bench.invoke(bundle, "wait")) for _ in range(3)]
        await gate.reached.wait()
        [pid] = bench.workers()

        drained = asyncio.ensure_future(bench.supervisor.drain(bundle.version.digest))
        await asyncio.sleep(0)
        fresh = await bench.invoke(bundle)
        gate.opened.set()

        assert set(await asyncio.gather(*calls)) == {str(pid).encode()}
        await drained
        assert not alive(pid)
        assert alive(int(fresh))
        assert bench.said() == []


async def test_a_drain_that_takes_too_long_ends_in_a_kill(tmp_path: Path) -> None:
    async with Workbench(tmp_path, policy=Policy(drain_s=0.1)) as bench:
        bundle, gate = bench.bundle(PATIENT), Gate(bench)
        call = asyncio.ensure_future(bench.invoke(bundle, "wait"))
        await gate.reached.wait()

        await bench.supervisor.drain(bundle.version.digest)

        with pytest.raises(ShowgroundError, match="drain took too long"):
            await call
        assert bench.workers() == []


async def test_a_worker_that_hangs_when_it_is_to_end_makes_room_for_another(tmp_path: Path) -> None:
    hanging = """
        import asyncio, os, time

        async def run(invocation, payload, call):
            if invocation.name == "hang": asyncio.get_running_loop().call_soon(time.sleep, 1000)
            return str(os.getpid()).encode()
    """
    async with Workbench(tmp_path, policy=Policy(idle_s=0.1, drain_s=0.1)) as bench:
        bundle = bench.bundle(hanging)
        first = int(await bench.invoke(bundle, "hang"))

        await until(lambda: not alive(first))

        assert int(await bench.invoke(bundle)) != first
        assert bench.said() == ["the worker of app 1.0.0 ended: it had nothing left to do, and did not end in time"]


async def test_a_worker_that_takes_its_leave_and_stays_makes_room_for_another(tmp_path: Path) -> None:
    staying = f"""
        import os, socket

        async def run(invocation, payload, call):
            if invocation.name == "leave": socket.socket(fileno=os.dup(3)).send({DRAIN_FRAME!r})
            return str(os.getpid()).encode()
    """
    async with Workbench(tmp_path, policy=Policy(drain_s=0.1)) as bench:
        bundle = bench.bundle(staying)
        first = int(await bench.invoke(bundle, "leave"))

        assert int(await bench.invoke(bundle)) != first
        assert not alive(first)


async def test_an_idle_worker_is_ended_and_the_next_call_starts_another(tmp_path: Path) -> None:
    async with Workbench(tmp_path, policy=Policy(idle_s=0.1)) as bench:
        bundle = bench.bundle(PATIENT)
        first = int(await bench.invoke(bundle))

        await until(lambda: not alive(first))

        await until(lambda: not bench.supervisor.stats())
        assert int(await bench.invoke(bundle)) != first
        assert bench.said() == []


async def test_calls_over_the_queue_are_refused_before_anything_is_done(tmp_path: Path) -> None:
    async with Workbench(tmp_path, policy=Policy(in_flight=2, queued=3)) as bench:
        bundle, gate = bench.bundle(PATIENT), Gate(bench)
        calls = [asyncio.ensure_future(bench.invoke(bundle, "wait")) for _ in range(2)]
        await gate.reached.wait()
        calls += [asyncio.ensure_future(bench.invoke(bundle, "wait")) for _ in range(3)]
        await asyncio.sleep(0)

        with pytest.raises(ShowgroundError, match="3 calls") as caught:
            await bench.invoke(bundle)

        assert caught.value.code == "overloaded"
        assert caught.value.retry_after == 1.0
        assert bench.supervisor.stats()[0].queued == 3
        gate.opened.set()
        assert len(await asyncio.gather(*calls)) == 5


async def test_a_call_whose_turn_does_not_come_before_its_deadline_is_refused(tmp_path: Path) -> None:
    async with Workbench(tmp_path, policy=Policy(in_flight=1)) as bench:
        bundle, gate = bench.bundle(PATIENT), Gate(bench)
        call = asyncio.ensure_future(bench.invoke(bundle, "wait"))
        await gate.reached.wait()

        with pytest.raises(ShowgroundError, match="no worker") as caught:
            await bench.invoke(bundle, timeout_s=0.1)

        assert caught.value.code == "overloaded"
        gate.opened.set()
        await call


async def test_a_busy_app_gets_as_many_workers_as_it_may_have(bench: Workbench) -> None:
    bundle, gate = bench.bundle(PATIENT, workers=2), Gate(bench)
    calls = [asyncio.ensure_future(bench.invoke(bundle, "wait")) for _ in range(2)]
    await gate.reached.wait()
    calls += [asyncio.ensure_future(bench.invoke(bundle, "wait")) for _ in range(4)]
    await until(lambda: bench.supervisor.stats()[0].workers == 2 and not bench.supervisor.stats()[0].starting)
    calls += [asyncio.ensure_future(bench.invoke(bundle, "wait")) for _ in range(4)]
    await asyncio.sleep(0)

    assert len(bench.workers()) == 2
    gate.opened.set()
    assert len(set(await asyncio.gather(*calls))) == 2


async def test_a_caller_that_goes_away_cancels_its_handler_and_its_open_calls(bench: Workbench) -> None:
    bundle, gate = bench.bundle(PATIENT), Gate(bench)
    call = asyncio.ensure_future(bench.invoke(bundle, "wait"))
    await gate.reached.wait()

    call.cancel()

    with pytest.raises(asyncio.CancelledError):
        await call
    await until(lambda: bench.supervisor.stats()[0].in_flight == 0)
    assert bench.supervisor.stats()[0].crashes == 0


async def test_pauses_between_restarts_double_up_to_their_bound(tmp_path: Path, clock: ManualClock) -> None:
    policy = Policy(backoff_s=1, backoff_max_s=4, patience_s=10)
    async with Workbench(tmp_path, clock=clock, policy=policy, jitter=Whole()) as bench:
        bundle = bench.bundle(PATIENT)
        await bench.invoke(bundle)
        for pause in (1, 2, 4, 4, 4):
            with pytest.raises(ShowgroundError):
                await bench.invoke(bundle, "exit")
            call = asyncio.create_task(bench.invoke(bundle))
            await clock.advance(pause - 0.01)
            assert bench.supervisor.stats()[0].workers == 0
            await clock.advance(0.01)
            assert bench.supervisor.stats()[0].workers == 1
            await call

        assert bench.supervisor.stats()[0].failures_in_a_row == 5


async def test_close_does_not_wait_for_a_restart_that_is_far_away(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("showground.supervisor.supervisor.CLOSE_S", 60.0)  # its patience does not hide that it waits
    policy = Policy(backoff_s=60, backoff_max_s=60, patience_s=90)  # at least 30 s from now
    loop = asyncio.get_running_loop()
    async with Workbench(tmp_path, policy=policy) as bench:
        bundle = bench.bundle(PATIENT)
        with pytest.raises(ShowgroundError):
            await bench.invoke(bundle, "exit")
        waiting = asyncio.ensure_future(bench.invoke(bundle))
        await asyncio.sleep(0)
        started = loop.time()
    assert loop.time() - started < 20
    with pytest.raises(ShowgroundError) as caught:
        await waiting
    assert caught.value.code == "not_ready"


async def test_the_zygote_is_replaced_when_it_dies_and_takes_its_workers_along(bench: Workbench) -> None:
    bundle, gate = bench.bundle(PATIENT), Gate(bench)
    call = asyncio.ensure_future(bench.invoke(bundle, "wait"))
    await gate.reached.wait()
    zygote, [worker] = bench.supervisor.zygote_pid, bench.workers()
    assert zygote is not None

    os.kill(zygote, signal.SIGKILL)

    with pytest.raises(ShowgroundError, match="forked from") as caught:
        await call
    assert caught.value.code == "worker_died"
    await until(lambda: not alive(worker))
    gate.opened.set()
    assert alive(int(await bench.invoke(bundle, "wait")))
    assert bench.supervisor.zygote_pid != zygote


async def test_no_worker_outlives_a_host_that_is_killed(tmp_path: Path) -> None:
    host = dedent("""
        import asyncio, os, signal, sys
        from pathlib import Path
        from showground.testing.workbench import Workbench

        SPIN = "import time\\nasync def run(i, p, call):\\n  await call('m', 'begin'); time.sleep(1000)"

        async def main():
            bench = Workbench(Path(sys.argv[1]))
            bundle = bench.bundle(SPIN)
            began = asyncio.Event()

            async def begin():
                began.set()

            bench.members.members["m"] = ({"begin": begin}, None)
            spin = asyncio.ensure_future(bench.invoke(bundle))
            await began.wait()
            print(bench.supervisor.zygote_pid, *bench.workers(), flush=True)
            os.kill(os.getpid(), signal.SIGKILL)

        asyncio.run(main())
    """)
    run = await asyncio.to_thread(
        subprocess.run, [sys.executable, "-c", host, str(tmp_path)], capture_output=True, check=False
    )

    assert run.returncode == -signal.SIGKILL
    pids = [int(pid) for pid in run.stdout.split()]
    assert len(pids) == 2
    await until(lambda: not any(alive(pid) for pid in pids))


async def test_a_closed_supervisor_refuses(tmp_path: Path) -> None:
    async with Workbench(tmp_path) as bench:
        bundle = bench.bundle(PATIENT)
    with pytest.raises(ShowgroundError) as caught:
        await bench.invoke(bundle)
    assert caught.value.code == "not_ready"


class Whole(random.Random):
    """Jitter that takes nothing away."""

    def uniform(self, a: float, b: float) -> float:
        return b


async def until(condition: Callable[[], bool]) -> None:
    """Wait for what another process does; the test's own time limit ends it."""
    async with asyncio.timeout(5):
        while not condition():  # noqa: ASYNC110  # nothing here can set an event
            await asyncio.sleep(0.005)
