"""The teaching apps on a real host: uploaded, installed, and told of events, as a community would have them."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from showground.keys import KeySpace
from showground.testing.host import HostUnderTest, running_host

APPS = Path(__file__).parents[2] / "apps"
ORDER = "com.example.OrderPaid"


@pytest.fixture
async def host(tmp_path: Path, redis_url: str, keys: KeySpace) -> AsyncIterator[HostUnderTest]:
    async with running_host(tmp_path, redis_url, keys.prefix, events={"types": {ORDER: {}}}) as host:
        yield host


def results(answer: Any) -> list[Any]:
    return [delivery["result"] for event in answer["events"] for delivery in event["deliveries"]]


async def messages(host: HostUnderTest, app: str, channel: str) -> list[Any]:
    path = f"/api/v1/communities/playground/apps/{app}/channels/{channel}/history"
    return [message["data"] for message in (await host.call("GET", path))["messages"]]


@pytest.mark.parametrize("folder", ["webhook_relay", "webhook_relay_hooks"])
async def test_an_event_of_the_operators_own_reaches_the_channel(host: HostUnderTest, folder: str) -> None:
    app = await host.install(APPS / folder)
    answer = await host.emit(ORDER, {"number": "7", "amount": 10}, id="order-7")
    assert results(answer) == [True]
    [message] = await messages(host, app, "orders")
    assert (message["number"], message["amount"]) == ("7", 10)
    assert message["id"]


async def test_installing_server_push_plans_one_job_and_upgrading_leaves_one(host: HostUnderTest) -> None:
    app = await host.install(APPS / "server_push")
    path = f"/api/v1/communities/playground/apps/{app}/jobs"
    async with asyncio.timeout(10):
        while not (jobs := (await host.call("GET", path))["jobs"]):  # noqa: ASYNC110  # a worker plans it
            await asyncio.sleep(0.02)
    assert [(job["name"], job["cron"], job["key"]) for job in jobs] == [("publish_to_channel", "* * * * *", "publish")]


async def test_a_post_that_is_told_of_twice_counts_once(host: HostUnderTest) -> None:
    await host.install(APPS / "counter_trigger")
    counts = [
        await host.emit("PostCreate", {"post": {"id": post, "title": "x"}}, id=f"e{n}")
        for n, post in enumerate(["t3_1", "t3_2", "t3_1"])
    ]
    assert [results(answer) for answer in counts] == [[1], [2], [2]]
    assert results(await host.emit("PostDelete", {"postId": "t3_1"}, id="gone")) == [1]
