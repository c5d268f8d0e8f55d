"""Whatever a hostile worker puts into a frame ends that worker or means nothing; it is no exception in the host's event loop."""

import asyncio
import struct
from collections.abc import AsyncIterator, Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path

import msgspec
import pytest

from showground.errors import ShowgroundError
from showground.supervisor import Policy
from showground.testing.waiting import eventually
from showground.testing.workbench import Bundle, Workbench
from showground.web.errors import error_response
from showground.worker.frames import CALL, CANCEL, DRAIN, ERROR, LOG, READY, REPLY

SPEAKER = """
    import asyncio, os, socket

    async def run(invocation, payload, call):
        socket.socket(fileno=os.dup(3)).send(payload)
        await asyncio.sleep(1000)
"""
OWN = 2
"""The number of a worker's first invocation; the load was 1."""
HUGE = 2**64 - 1
NESTED = [msgspec.Raw(b"\x91" * depth + b"\x90") for depth in range(970, 1000)]
"""Lists in lists; some can be read but not shown."""
SHAPES: list[object] = [None, True, -1, 1.5, HUGE, "x", b"x", [], [[]], {}, {"a": []}]
NO_INTEGER: list[object] = [None, 1.5, "x", b"x", [], {}]
NO_TEXT: list[object] = [None, 7, 1.5, b"x", [], {}]
Frames = Iterator[object]


def faulty_calls() -> Frames:
    good: list[object] = ["call", "m", "x", []]
    yield from ([CALL, 1, "capability", good][:length] for length in range(1, 4))
    yield [CALL, 1, "capability", good, 1]
    yield from ([CALL, 1, "capability", params] for params in (*SHAPES, good[:3], [*good, 1]))
    yield from ([CALL, number, "capability", good] for number in (*NO_INTEGER, True))
    yield from ([CALL, 1, method, good] for method in (*NO_TEXT, "invoke", *NESTED))
    yield from ([CALL, 1, "capability", ["call", "m", "x", arguments]] for arguments in NO_TEXT if arguments != [])


def faulty_answers() -> Frames:
    for kind in (REPLY, ERROR):
        yield from ([kind], [kind, OWN], [kind, OWN, {}, 1])
        yield from ([kind, number, {}] for number in (*NO_INTEGER[1:], 1, OWN + 1, -(2**63), HUGE))
    yield [REPLY, None, b"x"]
    yield from ([REPLY, OWN, result] for result in SHAPES if type(result) is not bytes)
    yield from ([ERROR, OWN, body] for body in SHAPES if type(body) is not dict)
    yield from ([ERROR, None, body] for body in SHAPES)


def faulty_others() -> Frames:
    good: list[object] = [LOG, None, "info", "stdout", "x", 0]
    yield from (good[:length] for length in range(1, 6))
    yield [*good, 1]
    for place, wrong in ((1, [7, b"x", [], {}]), (2, [[], {}]), (3, NO_TEXT), (4, NO_TEXT), (5, NO_INTEGER)):
        yield from ([*good[:place], shape, *good[place + 1 :]] for shape in wrong)
    yield from ([CANCEL], [CANCEL, 1, 2], *([CANCEL, number] for number in NO_INTEGER))
    yield from ([READY], [READY, 2], [READY, 2, 1, 1], *([READY, version, 1] for version in (*SHAPES, 1, 3, *NESTED)))
    yield [DRAIN, 1]
    yield from ([kind] for kind in (*(shape for shape in SHAPES if shape is not True), 7, *NESTED))


def strange_calls() -> Frames:
    """Calls of what nobody has, whatever is written for its name."""
    for shape in (*NO_TEXT, "x" * 10_000):
        yield [CALL, 1, "capability", [shape, "m", "x", []] if type(shape) not in (list, dict) else ["", "m", "x", []]]
        yield [CALL, 1, "capability", ["call", shape, "x", []]]
        yield [CALL, 1, "capability", ["call", "m", shape, []]]
    yield from ([CALL, number, "capability", ["call", "m", "x", []]] for number in (0, -(2**63), HUGE))


def packed(frame: object) -> bytes:
    body = msgspec.msgpack.encode(frame)
    return struct.pack(">I", len(body)) + body


class Stage:
    def __init__(self, bench: Workbench, caplog: pytest.LogCaptureFixture) -> None:
        self.bench = bench
        self._caplog = caplog

    async def told(self, bundle: Bundle, *frames: object) -> bytes | ShowgroundError | None:
        """What the caller of a handler hears that says *frames* and then nothing; None when it hears nothing."""
        invocation = msgspec.structs.replace(self.bench.invocation(bundle, "go", 5.0), id="call")
        said = b"".join(packed(frame) for frame in frames)
        try:
            async with asyncio.timeout(15):
                return await self.bench.supervisor.invoke(bundle.version, bundle.folder, invocation, said)
        except TimeoutError:
            return None
        except ShowgroundError as error:
            return error

    @property
    def raised(self) -> list[str]:
        """The exceptions that the host has logged."""
        return [record.getMessage() for record in self._caplog.records if record.exc_info]


@pytest.fixture
async def stage(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> AsyncIterator[Stage]:
    async with Workbench(tmp_path, policy=Policy(backoff_s=0.001, backoff_max_s=0.001)) as bench:
        yield Stage(bench, caplog)


@pytest.mark.parametrize("frames", [faulty_calls, faulty_answers, faulty_others])
async def test_a_malformed_frame_ends_its_worker(stage: Stage, frames: Callable[[], Frames]) -> None:
    bundle = stage.bench.bundle(SPEAKER)
    count = 0
    for count, frame in enumerate(frames(), 1):
        heard = await stage.told(bundle, frame)
        assert isinstance(heard, ShowgroundError), frame
        assert heard.code == "protocol_error", (frame, heard)
        assert len(heard.message) < 400
        assert stage.bench.supervisor.stats()[0].crashes == count, frame
    assert count > 30
    assert stage.raised == []


async def test_a_call_of_what_is_not_there_ends_nobody(stage: Stage) -> None:
    bundle = stage.bench.bundle(SPEAKER)
    assert await stage.told(bundle, *strange_calls(), [REPLY, OWN, b"done"]) == b"done"
    assert stage.bench.supervisor.stats()[0].crashes == 0
    assert stage.raised == []


async def test_an_error_is_one_that_the_host_can_pass_on(stage: Stage) -> None:
    strange = ["x", 7, [7], {"a": 1}, [{"where": [], "message": {}}]]
    whens = [float("inf"), float("nan"), -1, -float("inf"), 1e308, HUGE, "x", [], True]
    for number, when in enumerate(whens):
        word = strange[number % len(strange)]
        body = {"code": word, "message": word, "where": word, "retry_after": when, "details": word}
        heard = await stage.told(stage.bench.bundle(SPEAKER, f"app-{number}"), [ERROR, OWN, body])
        assert isinstance(heard, ShowgroundError)
        assert heard.code == "internal"
        assert heard.retry_after is None or 0 <= heard.retry_after <= 1e9, when
        assert error_response(heard).status == 500
    assert stage.raised == []


async def test_a_log_record_has_a_time_that_can_be_shown(stage: Stage) -> None:
    times = (0, -1, True, 2**43, 2**53, 2**63, HUGE, -(2**63))
    said = [[LOG, None, "info", "stdout", "x", at_ms] for at_ms in times]
    assert await stage.told(stage.bench.bundle(SPEAKER), *said, [REPLY, OWN, b"done"]) == b"done"

    assert len(stage.bench.said("stdout")) == len(times)
    assert all(datetime.fromtimestamp(record.at_ms / 1000, UTC) for record in stage.bench.logs)


async def test_what_is_no_registration_fails_the_load_and_ends_the_worker(stage: Stage) -> None:
    answers: list[object] = [shape for shape in SHAPES if type(shape) is not dict]
    answers += [{1: 2}, {"jobs": 7}, {"jobs": [{"name": 1}]}, {"configured": {1: 2}}, *NESTED[::10]]
    answers += [{"configured": {"a": msgspec.Raw(b"\x81\x90\x01")}}]
    for answer in answers:
        bundle = stage.bench.bundle(
            f"""
            import os, socket, time
            socket.socket(fileno=os.dup(3)).send({packed([REPLY, 1, answer])!r})
            time.sleep(1000)
            """
        )
        with pytest.raises(ShowgroundError) as checked:
            await stage.bench.check(bundle)
        heard = await stage.told(bundle)

        assert isinstance(heard, ShowgroundError)
        assert (checked.value.code, heard.code) == ("app_load_failed", "app_load_failed"), answer
    await eventually(lambda: [stats.workers for stats in stage.bench.supervisor.stats()] == [0] * len(answers))
    assert stage.bench.workers() == []
    assert stage.raised == []


async def test_a_bundle_that_cannot_be_described_to_its_worker_leaves_none(stage: Stage) -> None:
    bundle = stage.bench.bundle(SPEAKER, capabilities=frozenset({"x" * 70_000}), frame_bytes=65_536)

    heard = await stage.told(bundle)

    assert isinstance(heard, ShowgroundError)
    assert heard.code == "app_load_failed"
    await eventually(lambda: stage.bench.supervisor.stats()[0].workers == 0)
