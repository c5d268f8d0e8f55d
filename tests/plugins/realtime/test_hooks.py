"""The plugin comes in by the public hooks, and apps reach only their own channels."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import AsyncExitStack
from dataclasses import replace
from typing import Any

import msgspec
import pytest
from tests.plugins.realtime.serving import SHOP, plugins

from showground.capabilities import REALTIME
from showground.context.realtime import MESSAGE_BYTES, Realtime
from showground.errors import ShowgroundError
from showground.hookspecs import Method
from showground.model import AppVersion, HostEvent, Installation, Invocation
from showground.plugins import Plugins
from showground.testing.clock import ManualClock
from showground.testing.services import services
from showground_realtime.channels import open_memory
from showground_realtime.settings import read_settings

INVOCATION = Invocation(
    id="i",
    installation=SHOP,
    app="server-push",
    app_version="1.0.0",
    community="playground",
    kind="job",
    name="publish_to_channel",
    timeout_s=30,
)
VERSION = AppVersion(app="server-push", version="1.0.0", digest="0", entry="main.py")


class Members:
    """Implements `hookspecs.Extend`, and stands in for the broker between a worker and the host."""

    def __init__(self) -> None:
        self.methods: dict[str, Mapping[str, Method]] = {}
        self.needs: dict[str, str | None] = {}

    def __call__(self, member: str, methods: Mapping[str, Method], needs: str | None = None) -> None:
        self.methods[member] = methods
        self.needs[member] = needs

    async def call(self, member: str, method: str, *args: object) -> Any:
        travelled = msgspec.msgpack.decode(msgspec.msgpack.encode(args))
        return await self.methods[member][method](*travelled)


async def enter(stack: AsyncExitStack) -> tuple[Plugins, Realtime]:
    host = plugins()
    await host.enter(stack, {"realtime": "memory"}, lambda capability: services({}))
    members = Members()
    host.context(INVOCATION, VERSION, members)
    assert members.needs == {"realtime": "realtime"}
    return host, Realtime(members.call)


async def test_an_app_sends_by_bare_or_full_name_and_gets_the_position() -> None:
    async with AsyncExitStack() as stack:
        host, realtime = await enter(stack)
        first = await realtime.send("events", {"message": "tick", "n": [1, None]})
        second = await realtime.send("server-push:playground:events", "tock")
        messages, _ = await host.provider(REALTIME).history(SHOP, "events")
        assert [(str(m.position), m.data) for m in messages] == [
            (first, b'{"message":"tick","n":[1,null]}'),
            (second, b'"tock"'),
        ]


@pytest.mark.parametrize(
    ("name", "code"),
    [
        ("chat:playground:events", "forbidden"),
        ("server-push:library:events", "forbidden"),
        ("playground:events", "forbidden"),
        ("server-push:playground:", "invalid"),
        ("events!", "invalid"),
    ],
)
async def test_an_app_cannot_send_elsewhere(name: str, code: str) -> None:
    async with AsyncExitStack() as stack:
        _, realtime = await enter(stack)
        with pytest.raises(ShowgroundError) as refused:
            await realtime.send(name, 1)
        assert refused.value.code == code


async def test_what_is_no_message_never_leaves_the_worker() -> None:
    async def call(member: str, method: str, *args: object) -> Any:
        raise AssertionError("it was sent")

    realtime = Realtime(call)
    for data, code in ((object(), "invalid"), ("x" * MESSAGE_BYTES, "too_large")):
        with pytest.raises(ShowgroundError) as refused:
            await realtime.send("events", data)
        assert refused.value.code == code


async def test_a_worker_that_sends_no_json_is_refused() -> None:
    async with AsyncExitStack() as stack:
        host, _ = await enter(stack)
        members = Members()
        host.context(INVOCATION, VERSION, members)
        with pytest.raises(ShowgroundError) as refused:
            await members.call("realtime", "send", "events", b"\n\nevent: forged")
        assert refused.value.code == "invalid"


async def test_observers_are_told_what_became_of_each_message() -> None:
    seen: list[HostEvent] = []
    lent = services({"messages_per_s": 1}, clock=ManualClock())
    async with open_memory(replace(lent, observe=seen.append)) as realtime:
        await realtime.publish(SHOP, "events", b"1")
        with pytest.raises(ShowgroundError):
            await realtime.publish(SHOP, "events", b"2")
    assert [(e.name, e.labels) for e in seen] == [
        ("realtime_message", {"outcome": "sent"}),
        ("realtime_message", {"outcome": "rate_limited"}),
    ]


async def test_an_uninstalled_app_leaves_nothing_behind() -> None:
    async with AsyncExitStack() as stack:
        host, realtime = await enter(stack)
        await realtime.send("events", 1)
        await host.uninstalled(
            Installation(id=SHOP, app="server-push", community="playground", version=VERSION, installed_at_ms=0)
        )
        assert await host.provider(REALTIME).channels(SHOP) == []


@pytest.mark.parametrize(
    "options",
    [
        {"mesages_per_s": 1},
        {"channels": "many"},
        {"heartbeat_s": 0},
        {"history_bytes": 10},
        {"position_ttl_s": 10},
    ],
)
def test_settings_that_cannot_work_are_refused_at_start(options: dict[str, Any]) -> None:
    with pytest.raises(ShowgroundError) as refused:
        read_settings(options)
    assert refused.value.code == "misconfigured"
