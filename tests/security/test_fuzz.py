"""Random input for whatever reads input that others made: an answer or a named error, and nothing else is harmed."""

from __future__ import annotations

import asyncio
import json
import logging
import socket
from pathlib import Path
from typing import Any

import aiohttp
import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.security.faults import faults

from showground import blocks as blocks_of_authors
from showground.bundle.check import check_folder
from showground.bundle.schema import manifest_problems
from showground.crontab import parse_crontab
from showground.errors import ShowgroundError
from showground.events.catalogue import Catalogue
from showground.events.cloudevents import parse
from showground.supervisor import Policy
from showground.testing.fuzz import examples, fuzz
from showground.testing.host import HostUnderTest
from showground.testing.posts import Stage
from showground.testing.viewer import Viewer
from showground.testing.workbench import Workbench
from showground.ui.attributes import ATTRIBUTES
from showground.ui.colors import parse_color
from showground.views.incoming import read_env, read_message
from showground.worker import frames
from showground_scheduler.cron import Cron

scalars = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(),
    st.integers(2**53 - 2, 2**65),
    st.floats(),
    st.text(max_size=40),
    st.just("x" * 3000),
)
values = st.recursive(
    scalars,
    lambda inner: st.one_of(st.lists(inner, max_size=4), st.dictionaries(st.text(max_size=12), inner, max_size=4)),
    max_leaves=12,
)


def named(error: ShowgroundError, *codes: str) -> None:
    """What is refused is refused by one of these names."""
    assert error.code in codes, error


def as_json(value: Any) -> bytes:
    return json.dumps(value).encode()  # with NaN and Infinity, which JSON has not


# --- what parses -----------------------------------------------------------------------------------------------------

message_fields = {
    "type": st.sampled_from(["hello", "event", "env", "refresh", "ping", "admin", "bye"]) | values,
    "view": values,
    "rev": values,
    "resume": values,
    "ticket": values,
    "seq": st.integers(0, 9) | values,
    "post": values,
    "env": st.dictionaries(st.sampled_from(["width", "scale", "locale", "color_scheme", "x"]), values) | values,
    "event": st.fixed_dictionaries(
        {
            "type": st.sampled_from(["press", "form_submitted", "form_cancelled", "interval", "web_view", "message"])
            | values
        },
        optional={
            "action": st.text(max_size=9) | values,
            "form": values,
            "hook": values,
            "data": values,
            "visible": values,
        },
    )
    | values,
}
messages = st.fixed_dictionaries(
    {"type": message_fields["type"]}, optional={k: v for k, v in message_fields.items() if k != "type"}
)


@examples(300)
@given(st.one_of(messages.map(as_json), values.map(as_json), st.binary(max_size=60), st.text(max_size=60)))
def test_a_browsers_message_is_read_or_refused(raw: bytes | str) -> None:
    read_env(raw)
    try:
        message = read_message(raw)
    except ShowgroundError as error:
        named(error, "bad_request", "too_large")
    else:
        msgspec.msgpack.encode((message.seq, message.rev, message.env, message.event and message.event.body()))


attributes = st.dictionaries(
    st.sampled_from(
        [
            "specversion",
            "id",
            "source",
            "type",
            "subject",
            "data",
            "data_base64",
            "time",
            "datacontenttype",
            "dataschema",
            "x",
            "X-",
        ]
    ),
    st.sampled_from(["1.0", "a", "PostCreate", "playground", "2026-01-01T00:00:00Z", "e30="]) | values,
)
header_text = st.text(st.characters(min_codepoint=32, max_codepoint=255), max_size=40)


@examples(300)
@given(
    st.sampled_from(
        ["application/cloudevents+json", "application/cloudevents-batch+json", "application/json", "", "text/plain"]
    )
    | header_text,
    st.dictionaries(
        st.sampled_from(["ce-id", "ce-source", "ce-type", "ce-subject", "ce-specversion", "ce-time", "ce-x", "x"]),
        header_text,
    ),
    st.one_of(
        attributes.map(as_json),
        st.lists(attributes, max_size=3).map(as_json),
        values.map(as_json),
        st.binary(max_size=80),
    ),
)
def test_an_event_is_read_or_refused(kind: str, headers: dict[str, str], body: bytes) -> None:
    try:
        events = parse(kind, headers, body)
    except ShowgroundError as error:
        named(error, "bad_request", "invalid", "unsupported", "too_large")
        return
    for event in events:
        try:
            data = msgspec.json.decode(event.data)
        except msgspec.MsgspecError:
            continue
        CATALOGUE.check(event.type, data)


CATALOGUE = Catalogue()
manifest = st.fixed_dictionaries(
    {},
    optional=dict.fromkeys(
        (
            "name",
            "version",
            "entry",
            "permissions",
            "settings",
            "jobs",
            "limits",
            "handlers",
            "description",
            "assets",
            "x",
        ),
        values,
    ),
)


@examples(150)
@given(st.one_of(manifest.map(as_json), values.map(as_json), st.binary(max_size=80)))
def test_a_manifest_is_right_or_all_its_faults_are_told(data: bytes) -> None:
    for problem in manifest_problems(data):
        assert problem.where
        assert problem.message


def test_any_folder_is_checked_without_running_it(tmp_path: Path) -> None:
    count = 0

    @examples(40)
    @given(
        st.one_of(manifest.map(as_json), st.just(b'{"name": "app", "version": "1.0.0"}')),
        st.one_of(
            st.binary(max_size=200),
            st.text(max_size=200).map(lambda text: text.encode("utf-8", "replace")),
            st.sampled_from(
                [
                    b"(" * 5000,
                    b"x = " + b"-" * 5000 + b"1",
                    b"\0",
                    b"\xef\xbb\xbfx=1",
                    b"# coding: rot13\n",
                    b"raise SystemExit",
                ]
            ),
        ),
    )
    def check(app_json: bytes, source: bytes) -> None:
        nonlocal count
        count += 1
        folder = tmp_path / str(count)
        folder.mkdir()
        (folder / "app.json").write_bytes(app_json)
        (folder / "main.py").write_bytes(source)
        check_folder(folder)

    check()


@examples(300)
@given(
    st.text(max_size=30) | st.text("0123456789*/,- LWLjanmonsu?#@", max_size=30), st.text(max_size=20) | st.just("UTC")
)
def test_a_cron_is_read_or_refused(text: str, zone: str) -> None:
    for read in (lambda: parse_crontab(text), lambda: Cron.parse(text, zone).next_after(1_700_000_000_000)):
        try:
            read()
        except ShowgroundError as error:
            named(error, "invalid")


@examples(200)
@given(st.text(max_size=30) | st.text("#0123456789abcdefhsl(), %.-", max_size=30))
def test_a_colour_is_read_or_refused(text: str) -> None:
    try:
        parse_color(text)
    except ValueError:
        pass


# --- blocks ----------------------------------------------------------------------------------------------------------

names = st.sampled_from(
    sorted(
        {name for known in ATTRIBUTES.values() for name in known}
        | {"key", "id", "data", "on_press", "onclick", "style"}
    )
)
likely = st.sampled_from(
    ["50%", "120px", "red", "#fff", "small", "large", "none", "top start", "upvote", "https://x/y.png", "key", 10, True]
)
block = st.tuples(st.sampled_from(sorted(ATTRIBUTES)), st.dictionaries(names, likely | values, max_size=3))
trees: st.SearchStrategy[Any] = st.recursive(
    block.map(lambda b: (*b, [])),
    lambda inner: st.tuples(
        st.sampled_from(["blocks", "vstack", "hstack", "zstack"]),
        st.dictionaries(names, likely | values, max_size=2),
        st.lists(inner | values, max_size=4),
    ),
    max_leaves=10,
)


def build(node: Any) -> Any:
    if not (isinstance(node, tuple) and len(node) == 3):
        return node
    kind, attributes, children = node
    make = getattr(blocks_of_authors, kind)
    positional = [build(child) for child in children]
    for needed in {"image": ["url"], "icon": ["name"], "avatar": ["thing_id"], "webview": ["url"]}.get(kind, []):
        positional = [attributes.get(needed, "x")]
    try:
        return make(
            *positional,
            **{name: value for name, value in attributes.items() if name not in ("url", "name", "thing_id")},
        )
    except TypeError as error:
        if "argument" not in str(error):  # Python's own word about a call that does not fit
            raise
        return None


@examples(150)
@given(trees)
def test_blocks_are_drawn_or_refused_at_the_apps_line(tree: Any) -> None:
    def render(context: Any) -> Any:
        return build(tree)

    async def draw() -> None:
        screen = await Stage.of(render).open(connect=False)
        if screen.tree is None:
            assert screen.errors, "nothing was drawn, and nobody told why"
            assert all(error["code"] == "app_error" for error in screen.errors)
            return
        assert screen.tree[0] == "blocks"
        kinds, waiting = set(ATTRIBUTES), [screen.tree]
        while waiting:
            node = waiting.pop()
            assert node[0] in kinds
            waiting.extend(node[2] if len(node) > 2 else [])

    logging.disable(logging.CRITICAL)  # each refusal is logged with its traceback
    try:
        asyncio.run(draw())
    finally:
        logging.disable(logging.NOTSET)


@examples(150)
@given(
    st.binary(max_size=60)
    | values.filter(lambda v: not isinstance(v, int)).map(lambda v: msgspec.msgpack.encode(str(v)))
    | st.dictionaries(st.text(max_size=5), st.text(max_size=5)).map(msgspec.msgpack.encode)
)
def test_a_state_that_is_none_is_an_error_with_a_name(state: bytes) -> None:
    """A host passes states on unread, so a broken one reaches the worker."""

    def render(context: Any) -> Any:
        from showground import use_state

        count, _ = use_state(0)
        return blocks_of_authors.blocks(blocks_of_authors.text(f"{count}"))

    async def draw() -> None:
        stage = Stage.of(render)
        screen = await stage.open(connect=False)
        screen.state = state
        try:
            await stage._ask(type(stage.views)(stage._bundle), [screen], [], full=True, with_state=True)
        except ShowgroundError as error:
            named(error, "protocol_error", "app_error", "invalid")

    logging.disable(logging.CRITICAL)
    try:
        asyncio.run(draw())
    finally:
        logging.disable(logging.NOTSET)


# --- workers ---------------------------------------------------------------------------------------------------------


async def test_garbage_on_a_channel_is_a_fault_with_a_reason() -> None:
    async def attempt(data: bytes) -> None:
        ours, theirs = socket.socketpair()
        closed: asyncio.Future[str | None] = asyncio.get_running_loop().create_future()
        got: list[object] = []
        channel = frames.Channel(ours, 4096, got.append, closed.set_result)
        theirs.sendall(data)
        theirs.close()
        reason = await closed
        channel.close()
        assert reason is None or reason
        assert all(isinstance(frame, list) for frame in got)

    sized = st.binary(max_size=60).map(lambda body: len(body).to_bytes(4, "big") + body)
    frame = st.lists(values.filter(_fits), min_size=0, max_size=5).map(lambda v: frames.encode(v, 10**6))
    assert await fuzz(st.lists(st.binary(max_size=80) | sized | frame, max_size=4).map(b"".join), attempt, 150) >= 100


def _fits(value: Any) -> bool:
    try:
        msgspec.msgpack.encode(value)
    except (OverflowError, UnicodeError):
        return False
    return True


SPEAKER = """
    import os, socket, asyncio

    async def run(invocation, payload, call):
        if invocation.name == "echo":
            return payload
        socket.socket(fileno=os.dup(3)).send(payload)
        await asyncio.sleep(0.02)
        return b"still here"
"""


async def test_whatever_a_worker_says_ends_it_and_only_it(tmp_path: Path) -> None:
    async with Workbench(tmp_path, policy=Policy(backoff_s=0.01, backoff_max_s=0.01)) as bench:
        hostile, neighbour = bench.bundle(SPEAKER, "hostile"), bench.bundle(SPEAKER, "neighbour")
        await bench.invoke(neighbour, "echo", b"x")
        pids = set(bench.workers())
        kinds = st.lists(
            st.sampled_from([0, 1, 2, 3, 4, 5, 6, 7, None, "capability", [], "x", ["i", "redis", "execute", []]])
            | values.filter(_fits),
            max_size=7,
        ).map(lambda frame: frames.encode(frame, 10**6))

        async def attempt(data: bytes) -> None:
            try:
                assert await bench.invoke(hostile, "speak", data) == b"still here"
            except ShowgroundError as error:
                named(
                    error,
                    "protocol_error",
                    "worker_died",
                    "overloaded",
                    "app_error",
                    "app_load_failed",
                    "deadline_exceeded",
                    "not_ready",
                )
            assert await bench.invoke(neighbour, "echo", data) == data
            assert pids <= set(bench.workers()), "the neighbour's worker is another one"

        sized = st.binary(max_size=30).map(lambda body: len(body).to_bytes(4, "big") + body)
        assert await fuzz(kinds | sized | st.binary(min_size=1, max_size=30), attempt, 25) >= 20


# --- a whole host ----------------------------------------------------------------------------------------------------


async def test_whatever_browsers_say_others_go_on(host: HostUnderTest, caplog: pytest.LogCaptureFixture) -> None:
    post = await host.submit_post("canvas")
    address = f"{host.host.url}/live/{post}/socket"
    async with Viewer(host.host.url, post) as witness, aiohttp.ClientSession() as session:

        async def attempt(said: list[bytes]) -> None:
            async with session.ws_connect(address) as socket:
                await socket.send_str('{"type":"hello"}')
                welcome = json.loads((await socket.receive()).data)
                assert welcome["type"] == "welcome"
                for message in said:
                    await socket.send_str(message.decode("utf-8", "replace"))
                await socket.send_str('{"type":"ping"}')
                async for answer in socket:
                    if answer.type is not aiohttp.WSMsgType.TEXT:
                        break
                    if json.loads(answer.data)["type"] in ("pong", "bye"):
                        break

        pressable = [node[1]["press"] for node in witness.nodes() if "press" in node[1]]
        presses = st.builds(
            lambda seq, action, data: {
                "type": "event",
                "seq": seq,
                "event": {"type": "press", "action": action, "data": data},
            },
            st.integers(1, 9),
            st.sampled_from(pressable) | st.text(max_size=12),
            values,
        )
        await fuzz(st.lists((messages | presses).map(as_json), max_size=5), attempt, 30)
        await witness.press("Count")
        await witness.sees("count 1")
    assert faults(caplog) == []
