"""From an event to deliveries."""

from __future__ import annotations

import asyncio
import json
from typing import TYPE_CHECKING

import pytest

from showground.deliveries import DeadLetters, Runner
from showground.errors import ShowgroundError
from showground.events import Accepted, Event
from showground.keys import KeySpace
from showground.model import Delivery, TriggerSpec
from showground.testing.waiting import eventually

if TYPE_CHECKING:
    from tests.runtime.events.conftest import Town

POST = b'{"post": {"id": "t3_1", "title": "Hi", "further": [1]}}'


def event(id: str = "1", type: str = "PostCreate", data: bytes = POST, community: str = "town") -> Event:
    return Event(id=id, source="/forum", type=type, community=community, data=data)


async def test_every_installation_that_listens_gets_one_delivery_and_nobody_else(town: Town) -> None:
    one, two = town.install("one", "PostCreate"), town.install("two", TriggerSpec(event="PostCreate", max_attempts=2))
    deaf, elsewhere = town.install("deaf", "PostDelete"), town.install("one", "PostCreate", community="village")
    accepted = await town.intake.accept([event()])
    assert [part.installation for part in accepted.events[0].deliveries] == [one.id, two.id]
    (delivery,) = await town.queued(one)
    assert json.loads(delivery.payload) == {"type": "PostCreate", **json.loads(POST)}
    assert delivery.payload == b'{"type":"PostCreate",' + POST[1:], "the sender's bytes pass through"
    assert [d.max_attempts for d in await town.queued(two)] == [2]
    assert await town.queued(deaf) == []
    assert await town.queued(elsewhere) == []


async def test_the_same_source_and_id_gets_the_same_answer_and_no_second_delivery(town: Town, keys: KeySpace) -> None:
    one = town.install("one", "PostCreate", "PostDelete")
    first = await town.intake.accept([event(), event()])
    await _remembered(town, keys, 1)
    assert first.events[0] == first.events[1]
    town.install("late", "PostCreate", "PostDelete")
    again = await town.intake.accept([event(type="PostDelete", data=b'{"postId": "t3_1"}'), event("2")])
    assert again.events[0] == first.events[0], "whatever else changed, and whoever came since"
    assert len(again.events[1].deliveries) == 2
    assert [d.name for d in await town.queued(one)] == ["PostCreate", "PostCreate"]


async def _remembered(town: Town, keys: KeySpace, events: int) -> None:
    """The answers are written down when they have left already."""

    async def are_remembered() -> bool:
        return len([key async for key in town.queue.redis.scan(f"{keys.prefix}:*:event:*")]) == events

    await eventually(are_remembered)


async def test_an_answer_is_remembered_also_when_the_server_has_forgotten_how(town: Town, keys: KeySpace) -> None:
    await town.intake.accept([event()])
    await _remembered(town, keys, 1)
    await town.queue.redis.call("SCRIPT", "FLUSH")
    first = await town.intake.accept([event("2")])
    assert first.events[0].deliveries == []
    town.install("late", "PostCreate")
    await _remembered(town, keys, 2)
    assert await town.intake.accept([event("2")]) == first


async def test_one_bad_event_of_a_batch_refuses_it_whole(town: Town) -> None:
    town.install("one", "PostCreate")
    batch = [
        Event(id=str(n), source="/f", type="PostCreate", community="town", data=POST, where=f"events[{n}].")
        for n in range(3)
    ]
    batch[1] = Event(
        id="x", source="/f", type="PostCreate", community="town", data=b'{"post": {"id": 3}}', where="events[1]."
    )
    with pytest.raises(ShowgroundError) as caught:
        await town.intake.accept(batch)
    assert caught.value.code == "invalid"
    assert [p.where for p in caught.value.details] == ["events[1].data.post.id"]
    assert await town.backlog() == 0


async def test_a_batch_of_a_hundred_takes_a_handful_of_round_trips(town: Town) -> None:
    for n in range(5):
        town.install(f"app{n}", "PostCreate")
    before = await _commands(town)
    await town.intake.accept([event(str(n)) for n in range(100)])
    spent = await _commands(town) - before
    assert await town.backlog() == 500
    # GET and SET for each event, one script for each shard; what scripts call inside is not on the wire.
    assert spent <= 2 * 100 + 8 + 10


async def _commands(town: Town) -> int:
    """Commands that came over connections: scripts count as one, through the calls of EVALSHA and the plain ones."""
    stats = (await town.queue.redis.call("INFO", "commandstats")).decode()
    names = ("get", "evalsha", "eval", "script|load")
    return sum(
        int(line.split("calls=")[1].split(",")[0])
        for line in stats.splitlines()
        if any(line.startswith(f"cmdstat_{name}:") for name in names)
    )


async def test_a_full_backlog_of_one_app_holds_up_no_sender(town: Town) -> None:
    full, fine = town.install("full", "PostCreate"), town.install("fine", "PostCreate")
    await town.queue.enqueue(
        [
            Delivery(id=f"d{n}", installation=full.id, kind="trigger", name="PostCreate", payload=b"{}")
            for n in range(500)
        ]
    )
    accepted = await town.intake.accept([event()])
    parts = accepted.events[0].deliveries
    assert [(part.installation, part.dead) for part in parts] == [(full.id, True), (fine.id, False)]
    assert len(await town.queued(fine)) == 1
    (letter,) = await DeadLetters(town.queue).list(full.id)
    assert (letter.outcome.error or {})["code"] == "overloaded"
    assert json.loads(letter.delivery.payload)["type"] == "PostCreate"

    town.installed = [full]
    with pytest.raises(ShowgroundError) as caught:
        await town.intake.accept([event("2")])
    assert (caught.value.code, caught.value.retry_after) == ("overloaded", 5.0)
    await town.queue.clear(full.id)
    assert not (await town.intake.accept([event("2")])).events[0].deliveries[0].dead, "the refusal was not remembered"


async def test_host_events_reach_one_installation_once_and_can_be_waited_for(town: Town) -> None:
    one, two = town.install("one", "AppInstall"), town.install("two", "AppInstall")
    ran: list[str] = []

    async def handle(delivery: Delivery, attempt: int) -> bytes:
        ran.append(delivery.installation)
        return b"null"

    async with Runner(town.queue, handle, host_id="here"):
        for _ in range(2):
            await town.intake.emit_to(one, "AppInstall", {"subreddit": {"name": "town"}}, event_id="e1", wait_s=5)
    await town.intake.emit_to(one, "AppUpgrade", {}, event_id="e2")
    assert ran == [one.id]
    assert await town.queue.backlog(one.id) == await town.queue.backlog(two.id) == 0


async def test_a_plugin_may_emit_what_the_catalogue_knows(town: Town) -> None:
    one = town.install("one", "com.example.OrderPaid")
    await town.intake.emit("town", "com.example.OrderPaid", {"order": 7, "type": "mine"}, id="7")
    await town.intake.emit("town", "com.example.OrderPaid", {"order": 7}, id="7")
    (delivery,) = await town.queued(one)
    assert json.loads(delivery.payload) == {"order": 7, "type": "com.example.OrderPaid"}
    with pytest.raises(ShowgroundError) as caught:
        await town.intake.emit("town", "com.example.OrderPaid", {"order": "seven"})
    assert caught.value.details[0].where == "data.order"
    with pytest.raises(ShowgroundError, match="262144 are allowed"):
        await town.intake.emit("town", "com.example.OrderPaid", {"order": 1, "x": "y" * 300_000})


async def test_callers_at_the_same_time_share_round_trips_but_not_errors(town: Town) -> None:
    town.install("one", "PostCreate")
    full = town.install("full", "PostDelete")
    await town.queue.enqueue(
        [
            Delivery(id=f"d{n}", installation=full.id, kind="trigger", name="PostDelete", payload=b"{}")
            for n in range(500)
        ]
    )
    before = await _commands(town)
    calls = [town.intake.accept([event(str(n))]) for n in range(64)]
    calls.append(town.intake.accept([event("x", "PostDelete", b'{"postId": "t3_1"}')]))
    results = await asyncio.gather(*calls, return_exceptions=True)
    spent = await _commands(town) - before
    assert [r.events[0].id for r in results[:64] if isinstance(r, Accepted)] == [str(n) for n in range(64)]
    assert isinstance(results[64], ShowgroundError)
    assert results[64].code == "overloaded"
    assert await town.backlog() == 564
    assert spent <= 100, "a script for all of them, and what it calls for each"


async def test_a_caller_that_gives_up_takes_nothing_from_the_others(town: Town) -> None:
    town.install("one", "PostCreate")
    leaving = asyncio.ensure_future(town.intake.accept([event("1")]))
    staying = asyncio.ensure_future(town.intake.accept([event("2")]))
    await asyncio.sleep(0)
    leaving.cancel()
    assert (await staying).events[0].id == "2"
    with pytest.raises(asyncio.CancelledError):
        await leaving
