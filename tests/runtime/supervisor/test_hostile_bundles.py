"""What hostile or broken app code can do to others, which is nothing, and what its author is told, which is one clear error."""

import asyncio
import os
import signal
import time
from pathlib import Path
from statistics import median

import pytest

from showground.errors import ShowgroundError
from showground.supervisor import Policy
from showground.testing.clock import ManualClock
from showground.testing.waiting import eventually
from showground.testing.workbench import Bundle, Workbench, alive
from showground.worker.spawning import Level

HOSTILE = """
    import asyncio, ctypes, os, signal, socket, struct, sys, time

    def raw(data):
        socket.socket(fileno=os.dup(3)).send(data)

    async def run(invocation, payload, call):
        match invocation.name:
            case "echo": return payload
            case "exit": os._exit(3)
            case "sys.exit": sys.exit(4)
            case "segfault": ctypes.string_at(0)
            case "abort": os.abort()
            case "memory":
                kept = []
                while True: kept.append(bytearray(16 * 1024 * 1024))
            case "spin":
                print("begun")
                while True: pass
            case "sleep": print("begun"); time.sleep(1000)
            case "nap":
                signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGUSR1})
                print("begun")
                signal.sigwait({signal.SIGUSR1})
                return b"rested"
            case "stubborn":
                print("begun")
                while True:
                    try: await asyncio.sleep(1000)
                    except asyncio.CancelledError: pass
            case "stop": print("begun"); os.kill(os.getpid(), signal.SIGSTOP)
            case "big reply": return bytes(100 * 1024 * 1024)
            case "huge frame": raw(struct.pack(">I", 0xFFFFFFFF)); await asyncio.sleep(1000)
            case "garbage": raw(b"\\x00\\x00\\x00\\x04\\xc1\\xc1\\xc1\\xc1"); await asyncio.sleep(1000)
            case "no array": raw(b"\\x00\\x00\\x00\\x01\\x07"); await asyncio.sleep(1000)
            case "deep": raw(struct.pack(">I", 100000) + b"\\x91" * 100000); await asyncio.sleep(1000)
            case "wrong shape": raw(b"\\x00\\x00\\x00\\x02\\x91\\x01"); await asyncio.sleep(1000)
            case "unknown answer": raw(b"\\x00\\x00\\x00\\x05\\x93\\x01\\xcd\\xff\\xffx"[:9]); await asyncio.sleep(1000)
            case "flood":
                await asyncio.sleep(0)
                own = socket.socket(fileno=os.dup(3))
                own.setblocking(True)
                while True: own.send(struct.pack(">I", 8) + b"\\x96\\x03\\xc0\\xa0\\xa0\\xa1x\\x00")
            case "guess":
                for n in range(400):
                    guess = b"\\x94\\x00\\xcd" + struct.pack(">H", n) + b"\\xaacapability\\x94\\xa6call-" + b"%d" % (n % 10)
                    guess += b"\\xa5redis\\xa7execute\\x90"
                    raw(struct.pack(">I", len(guess)) + guess)
                await asyncio.sleep(1000)
            case "close": os.close(3); await asyncio.sleep(1000)
            case "closerange": os.closerange(0, 64); time.sleep(1000)
        return b""
"""


async def begun(bench: Workbench, bundle: Bundle, deed: str, timeout_s: float) -> asyncio.Task[bytes]:
    """A call of *deed* that says that it has begun, and does nothing else before the deed."""
    before = bench.said("stdout").count("begun")
    call = asyncio.create_task(bench.invoke(bundle, deed, timeout_s=timeout_s))
    await eventually(lambda: call.done() or bench.said("stdout").count("begun") > before)
    return call


@pytest.mark.parametrize(
    ("deed", "code", "reason"),
    [
        ("exit", "worker_died", "exit code 3"),
        ("sys.exit", "worker_died", "exit code 4"),
        ("segfault", "worker_died", "killed by SIGSEGV"),
        ("abort", "worker_died", "killed by SIGABRT"),
        ("huge frame", "protocol_error", "a frame of 4294967295 bytes"),
        ("garbage", "protocol_error", "not msgpack"),
        ("no array", "protocol_error", "not an array"),
        ("deep", "protocol_error", "not msgpack"),
        ("wrong shape", "protocol_error", "wrong shape"),
        ("flood", "protocol_error", "floods its log"),
        ("guess", "protocol_error", "invocations that are not its own"),
        ("closerange", "protocol_error", "closed its socket"),
    ],
)
async def test_a_worker_that_ends_or_breaks_the_protocol_is_named_once_and_replaced(
    bench: Workbench, deed: str, code: str, reason: str
) -> None:
    bundle = bench.bundle(HOSTILE, log_lines_per_s=50)  # so little that any machine floods it within one second
    assert await bench.invoke(bundle, "echo", b"before") == b"before"

    with pytest.raises(ShowgroundError) as caught:
        await bench.invoke(bundle, deed)

    assert caught.value.code == code
    assert caught.value.kind.temporary
    assert reason in caught.value.message
    [said] = [record for record in bench.logs if record.stream == "host" and "dropped" not in record.text]
    assert reason in said.text
    assert said.installation == "app:town"
    assert await bench.invoke(bundle, "echo", b"after") == b"after"


async def test_a_caller_who_leaves_costs_the_others_nothing(tmp_path: Path, clock: ManualClock) -> None:
    """Whoever closes a page while the worker is busy must not have it killed under those who stay."""
    async with Workbench(tmp_path, clock=clock) as bench:
        bundle = bench.bundle(HOSTILE)
        staying = await begun(bench, bundle, "nap", timeout_s=10)
        [pid] = bench.workers()
        leaving = [asyncio.create_task(bench.invoke(bundle, "echo")) for _ in range(3)]
        await eventually(lambda: bench.supervisor.stats()[0].in_flight == 4)
        for call in leaving:
            call.cancel()
        await asyncio.wait(leaving)
        await clock.advance(5)  # far more than the grace of who was told to end
        os.kill(pid, signal.SIGUSR1)  # ends the nap
        assert await staying == b"rested"
        assert await bench.invoke(bundle, "echo", b"after") == b"after"
        assert bench.supervisor.stats()[0].crashes == 0


async def test_a_memory_hog_is_told_its_limit_and_ended(bench: Workbench) -> None:
    bundle = bench.bundle(HOSTILE, memory_mb=64)

    with pytest.raises(ShowgroundError, match=r"out of memory \(limit 64 MB\)") as caught:
        await bench.invoke(bundle, "memory")

    assert caught.value.code == "app_error"
    assert await bench.invoke(bundle, "echo", b"after") == b"after"
    assert bench.said() == ["the worker of app 1.0.0 ended: out of memory (limit 64 MB)"]


async def test_a_reply_over_the_limit_is_an_error_of_that_call_alone(bench: Workbench) -> None:
    bundle = bench.bundle(HOSTILE)

    with pytest.raises(ShowgroundError, match="result is too large") as caught:
        await bench.invoke(bundle, "big reply")

    assert caught.value.code == "too_large"
    assert bench.supervisor.stats()[0].crashes == 0


@pytest.mark.parametrize("deed", ["spin", "sleep", "stubborn", "stop"])
async def test_a_handler_past_its_deadline_is_dead_within_a_second(
    tmp_path: Path, clock: ManualClock, deed: str
) -> None:
    async with Workbench(tmp_path, clock=clock) as bench:
        bundle = bench.bundle(HOSTILE)
        call = await begun(bench, bundle, deed, timeout_s=0.2)
        [pid] = bench.workers()

        await clock.advance(0.2 + 1.0)  # no time passes after this

        with pytest.raises(ShowgroundError) as caught:
            await call
        assert caught.value.code == "deadline_exceeded"
        assert not alive(pid)


async def test_what_else_ran_in_a_killed_worker_fails_as_temporary(tmp_path: Path, clock: ManualClock) -> None:
    async with Workbench(tmp_path, clock=clock) as bench:
        bundle = bench.bundle(HOSTILE)
        patient = await begun(bench, bundle, "stubborn", timeout_s=20)
        stopped = await begun(bench, bundle, "stop", timeout_s=0.1)
        await clock.advance(1)

        with pytest.raises(ShowgroundError, match="deadline"):
            await stopped

        with pytest.raises(ShowgroundError, match="past its deadline") as caught:
            await patient
        assert caught.value.code == "worker_died"
        assert caught.value.kind.temporary


async def test_a_neighbour_is_as_fast_beside_a_spinning_app(bench: Workbench) -> None:
    """Most calls are: the machine is shared, so a few may be late. With and without by turns, as others use it more or less."""
    quiet = bench.bundle(HOSTILE, "quiet")
    spinning = bench.bundle(HOSTILE, "spinning")
    await bench.invoke(quiet, "echo")
    [served] = bench.workers()
    spin = await begun(bench, spinning, "spin", timeout_s=60)
    [spinner] = set(bench.workers()) - {served}
    times: dict[signal.Signals, list[float]] = {signal.SIGSTOP: [], signal.SIGCONT: []}
    for _ in range(10):
        for turn, taken in times.items():
            os.kill(spinner, turn)
            for _ in range(20):
                started = time.perf_counter()
                assert await bench.invoke(quiet, "echo", b"x") == b"x"
                taken.append(time.perf_counter() - started)

    assert not spin.done(), "all were answered while it spun"
    without, beside = median(times[signal.SIGSTOP]), median(times[signal.SIGCONT])
    assert beside < max(20 * without, 0.04)
    spin.cancel()


@pytest.mark.parametrize("level", ["process", "confined"])
async def test_a_fork_bomb_stays_within_the_limit_and_dies_with_its_worker(tmp_path: Path, level: Level) -> None:
    async with Workbench(tmp_path, level=level) as bench:
        await bomb(bench)


async def bomb(bench: Workbench) -> None:
    bundle = bench.bundle(
        """
        import os, time

        async def run(invocation, payload, call):
            children = []
            while True:
                try: pid = os.fork()
                except OSError: break
                if pid == 0:
                    try: len(children) % 2 and os.setsid()
                    except PermissionError: pass
                    time.sleep(1000)
                children.append(pid)
                if len(children) > 200: break
            if invocation.name == "bomb": os._exit(9)
            return str(children).encode()
        """,
        processes=8,
    )
    children = eval(await bench.invoke(bundle, "count"))
    assert 1 <= len(children) < 8

    with pytest.raises(ShowgroundError, match="exit code 9"):
        await bench.invoke(bundle, "bomb")

    assert [pid for pid in children if alive(pid)] == []


@pytest.mark.parametrize(
    ("source", "message", "limit_s"),
    [
        ("while True: pass", "longer than 0.4 s", 0.4),
        ("import os; os._exit(3)", "exit code 3", 20),
        ("import ctypes; ctypes.string_at(0)", "killed by SIGSEGV", 20),
        ("kept = []\nwhile True: kept.append(bytearray(1 << 24))", "out of memory (limit 48 MB)", 20),
        ("raise RuntimeError('no')", "RuntimeError: no", 20),
        ("x = (", "SyntaxError: '(' was never closed", 20),
        ("import os, signal; os.kill(os.getpid(), signal.SIGSTOP)", "longer than 0.4 s", 0.4),
    ],
)
async def test_check_says_in_one_error_why_a_bundle_does_not_load(
    bench: Workbench, source: str, message: str, limit_s: float
) -> None:
    with pytest.raises(ShowgroundError) as caught:
        await bench.check(bench.bundle(source, load_timeout_s=limit_s, memory_mb=48))

    assert caught.value.code == "app_load_failed"
    assert message in caught.value.message


async def test_check_points_at_the_line_that_failed(bench: Workbench) -> None:
    with pytest.raises(ShowgroundError) as caught:
        await bench.check(bench.bundle("\n\ndef f():\n    return 1 / 0\nf()\n"))

    assert caught.value.where == "main.py:4"
    [trace] = bench.said("traceback")
    assert trace.splitlines()[1].endswith('main.py", line 5, in <module>')


async def test_fifty_megabytes_of_output_become_a_bounded_log(bench: Workbench) -> None:
    bundle = bench.bundle(
        """
        import os

        async def run(invocation, payload, call):
            for _ in range(800): os.write(1, b"x" * 63 + b"\\n" + b"y" * 65471)
            for _ in range(100_000): print("z")
            return b"done"
        """,
        log_lines_per_s=50,
    )

    assert await bench.invoke(bundle, timeout_s=30) == b"done"

    await bench.supervisor.drain(bundle.version.digest)
    assert len(bench.logs) < 1500
    assert max(len(record.text.encode()) for record in bench.logs) <= 8192
    assert any("log records were dropped" in text for text in bench.said())


async def test_a_forged_invocation_id_reaches_nothing(bench: Workbench) -> None:
    reading = asyncio.Event()

    async def secret() -> str:
        reading.set()
        return "secret"

    bench.members.members["vault"] = ({"read": secret}, None)
    source = """
        import asyncio

        async def run(invocation, payload, call):
            if invocation.name == "wait": await call("vault", "read"); await asyncio.sleep(1000)
            call._invocation = payload.decode()
            print("from elsewhere")
            return (await call("vault", "read")).encode()
    """
    victim, thief = bench.bundle(source, "victim"), bench.bundle(source, "thief")
    waiting = bench.invocation(victim, "wait")
    task = asyncio.ensure_future(bench.supervisor.invoke(victim.version, victim.folder, waiting, b""))
    await reading.wait()

    with pytest.raises(ShowgroundError, match="not running") as caught:
        await bench.invoke(thief, payload=waiting.id.encode())

    assert caught.value.code == "not_found"
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task


async def test_a_crash_loop_is_refused_with_its_reason_and_ends_by_itself(tmp_path: Path, clock: ManualClock) -> None:
    policy = Policy(backoff_s=0.05, patience_s=0.1)
    async with Workbench(tmp_path, clock=clock, policy=policy) as bench:
        bundle = bench.bundle(HOSTILE)
        for _ in range(3):  # the pauses after them: at most 0.05 s and 0.1 s, and then more than callers wait for
            call = asyncio.create_task(bench.invoke(bundle, "exit"))
            await clock.advance(policy.patience_s)
            with pytest.raises(ShowgroundError, match="exit code 3"):
                await call

        for _ in range(3):
            with pytest.raises(ShowgroundError, match="3 times in a row, last: exit code 3") as caught:
                await bench.invoke(bundle, "exit")
        assert bench.supervisor.stats()[0].failures_in_a_row == 3
        assert caught.value.retry_after is not None
        await clock.advance(caught.value.retry_after)
        assert await bench.invoke(bundle, "echo", b"well") == b"well"
