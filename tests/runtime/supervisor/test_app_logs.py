"""Everything that an app writes is in its log, under the invocation that wrote it, and nothing of it is unbounded."""

import asyncio
from pathlib import Path

import pytest

from showground.errors import ShowgroundError
from showground.testing.clock import ManualClock
from showground.testing.waiting import eventually
from showground.testing.workbench import Workbench

CHATTY = """
    import asyncio, logging, os, subprocess, sys

    print("at import")

    async def run(invocation, payload, call):
        match invocation.name:
            case "say":
                await asyncio.sleep(0.001)
                print(payload.decode()); await asyncio.sleep(0.001); print("again", payload.decode(), end="")
            case "streams":
                print("to stderr", file=sys.stderr)
                logging.getLogger("game").warning("level %d", 3)
                os.write(2, b"raw\\n")
                await asyncio.to_thread(print, "thread")
                sys.stdout.buffer.write(b"bytes\\n")
            case "long": print("x" * 100_000)
            case "broken": logging.warning("%d", "no number")
            case "fail": raise ValueError("no \\u2603")
            case "before death": print("last words"); os._exit(1)
        return b""
"""


async def test_each_line_is_under_the_invocation_that_wrote_it(bench: Workbench) -> None:
    bundle = bench.bundle(CHATTY)

    await asyncio.gather(
        bench.invoke(bundle, "say", b"one", community="one"), bench.invoke(bundle, "say", b"two", community="two")
    )

    assert {(r.installation, r.text) for r in bench.logs} == {
        (None, "at import"),
        ("app:one", "one"),
        ("app:one", "again one"),
        ("app:two", "two"),
        ("app:two", "again two"),
    }


async def test_streams_levels_threads_and_raw_output_are_told_apart(bench: Workbench) -> None:
    bundle = bench.bundle(CHATTY)
    await bench.invoke(bundle, "streams")
    await bench.supervisor.drain(bundle.version.digest)

    lines = {(r.stream, r.level, r.text, r.invocation is not None) for r in bench.logs[1:]}
    assert lines == {
        ("stderr", "error", "to stderr", True),
        ("logging", "warning", "game: level 3", True),
        ("output", "info", "raw", False),
        ("output", "info", "bytes", False),
        ("stdout", "info", "thread", True),
    }


async def test_a_long_line_is_cut_with_a_mark(bench: Workbench) -> None:
    await bench.invoke(bench.bundle(CHATTY), "long")

    text = bench.logs[-1].text
    assert len(text.encode()) == 8192
    assert text.endswith("x … (cut)")


async def test_the_traceback_begins_in_the_bundle_and_its_last_line_is_told_to_the_caller(bench: Workbench) -> None:
    with pytest.raises(ShowgroundError) as caught:
        await bench.invoke(bench.bundle(CHATTY), "fail")

    assert caught.value.code == "app_error"
    assert caught.value.message == "ValueError: no ☃"
    assert caught.value.where == "main.py:19"
    [trace] = bench.said("traceback")
    assert trace.count("File ") == 1
    assert trace.endswith("ValueError: no ☃\n")


async def test_what_was_printed_before_a_crash_is_not_lost(bench: Workbench) -> None:
    with pytest.raises(ShowgroundError):
        await bench.invoke(bench.bundle(CHATTY), "before death")
    assert [r.text for r in bench.logs] == ["at import", "last words", "the worker of app 1.0.0 ended: exit code 1"]


async def test_a_record_that_cannot_be_formatted_does_not_fail_the_handler(bench: Workbench) -> None:
    await bench.invoke(bench.bundle(CHATTY), "broken")
    assert "could not be formatted" in bench.logs[-1].text


async def test_an_app_that_writes_much_past_the_sdk_sends_no_flood_of_frames(tmp_path: Path) -> None:
    """The clock stands, so that all of it is in one second: of raw lines there are many, of frames there is one."""
    async with Workbench(tmp_path, clock=ManualClock()) as bench:
        bundle = bench.bundle(
            """
            import os

            async def run(invocation, payload, call):
                if invocation.name == "raw": os.write(1, b"\\n" * 60_000)
                else: print("one line")
                return b"done"
            """,
            log_lines_per_s=50,
        )
        await bench.invoke(bundle, "raw")
        await eventually(lambda: len(bench.said("output")) == 50)
        assert await bench.invoke(bundle, "print") == b"done"
