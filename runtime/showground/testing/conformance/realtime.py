"""What every provider of the realtime capability must do. Subclass `RealtimeConformance` and give it a `store` fixture.

class TestMyProvider(RealtimeConformance):
    @pytest.fixture
    async def store(self) -> AsyncIterator[RealtimeStore]:
        ...
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Sequence
from contextlib import AbstractAsyncContextManager
from typing import Protocol

import pytest

from showground.capabilities import Message, Position, Realtime
from showground.errors import ShowgroundError
from showground.keys import InstallationId, installation_id

GAME = installation_id("game", "playground")
OTHER_COMMUNITY = installation_id("game", "library")
OTHER_APP = installation_id("chat", "playground")


class RealtimeStore(Protocol):
    """One empty store for one test."""

    def open(self, **options: object) -> AbstractAsyncContextManager[Realtime]:
        """A provider over the store, with *options* as in the section `[realtime]`."""
        ...

    async def advance(self, seconds: float) -> None:
        """Let *seconds* pass for the store, at once: move its clock, or make all it holds that much older. It may be minutes."""
        ...


class Received:
    """What one subscriber got, and a way to wait for it."""

    def __init__(self) -> None:
        self.messages: list[Message] = []
        self.gaps = 0
        self._changed = asyncio.Event()

    def deliver(self, message: Message) -> None:
        self.messages.append(message)
        self._changed.set()

    def on_gap(self) -> None:
        self.gaps += 1
        self._changed.set()

    @property
    def data(self) -> list[bytes]:
        return [m.data for m in self.messages]

    async def until(self, condition: Callable[[], bool], timeout_s: float = 15.0) -> None:
        async with asyncio.timeout(timeout_s):
            while not condition():
                self._changed.clear()
                await self._changed.wait()

    async def until_data(self, expected: Sequence[bytes]) -> None:
        """Wait for as many messages as *expected*, then compare."""
        await self.until(lambda: len(self.messages) >= len(expected))
        assert self.data == list(expected)


async def refusal(
    code: str, realtime: Realtime, installation: InstallationId, channel: str, data: bytes
) -> ShowgroundError:
    with pytest.raises(ShowgroundError) as caught:
        await realtime.publish(installation, channel, data)
    assert caught.value.code == code
    return caught.value


class RealtimeConformance:
    async def test_messages_arrive_once_in_the_order_of_their_positions(self, store: RealtimeStore) -> None:
        async with store.open() as realtime:
            one, two = Received(), Received()
            await realtime.subscribe(GAME, "events", one.deliver)
            await realtime.subscribe(GAME, "events", two.deliver)
            positions = [await realtime.publish(GAME, "events", b"%d" % n) for n in range(20)]
            expected = [b"%d" % n for n in range(20)]
            await one.until_data(expected)
            await two.until_data(expected)
            assert [m.position for m in one.messages] == positions
            assert [p.offset for p in positions] == list(range(1, 21))
            assert len({p.epoch for p in positions}) == 1

    async def test_publications_at_once_get_positions_without_gap_and_arrive_in_their_order(
        self, store: RealtimeStore
    ) -> None:
        async with store.open() as realtime:
            got = Received()
            await realtime.subscribe(GAME, "events", got.deliver)
            positions = await asyncio.gather(*(realtime.publish(GAME, "events", b"%d" % n) for n in range(50)))
            await got.until(lambda: len(got.messages) >= 50)
            assert sorted(p.offset for p in positions) == list(range(1, 51))
            assert [m.position.offset for m in got.messages] == list(range(1, 51))
            by_offset = {p.offset: b"%d" % n for n, p in enumerate(positions)}
            assert got.data == [by_offset[n] for n in range(1, 51)]

    async def test_the_payload_passes_through_byte_for_byte(self, store: RealtimeStore) -> None:
        async with store.open() as realtime:
            got = Received()
            await realtime.subscribe(GAME, "events", got.deliver)
            payloads = ['{"text": "Grüße 🎉\\n"}'.encode(), b"null", b'"' + b"x" * 100_000 + b'"', b"[1,\n2]"]
            for payload in payloads:
                await realtime.publish(GAME, "events", payload)
            await got.until_data(payloads)

    async def test_a_subscriber_that_returns_gets_what_it_missed_and_goes_on(self, store: RealtimeStore) -> None:
        async with store.open() as realtime:
            first = Received()
            subscription = await realtime.subscribe(GAME, "events", first.deliver)
            await realtime.publish(GAME, "events", b"1")
            await first.until_data([b"1"])
            left_at = subscription.position
            await subscription.close()
            for n in (2, 3):
                await realtime.publish(GAME, "events", b"%d" % n)
            again = Received()
            resumed = await realtime.subscribe(GAME, "events", again.deliver, left_at, again.on_gap)
            assert resumed.start.recovered
            assert again.data == [b"2", b"3"]
            await realtime.publish(GAME, "events", b"4")
            await again.until_data([b"2", b"3", b"4"])
            assert first.data == [b"1"], "a closed subscription got a message"
            assert again.gaps == 0

    async def test_recovery_is_exact_while_messages_keep_coming(self, store: RealtimeStore) -> None:
        """Subscribers that join at any moment of a stream see each later message once, in order."""
        async with store.open(messages_per_s=100_000) as realtime:
            origin = (await realtime.subscribe(GAME, "events", lambda _: None)).position
            received: list[Received] = []

            async def publish() -> None:
                for n in range(1, 301):
                    await realtime.publish(GAME, "events", b"%d" % n)
                    await asyncio.sleep(0)  # a store in memory never waits, and subscribers must get in between

            publishing = asyncio.gather(publish())
            while not publishing.done():
                got = Received()
                received.append(got)
                resumed = await realtime.subscribe(GAME, "events", got.deliver, origin, got.on_gap)
                assert resumed.start.recovered
                await asyncio.sleep(0)
            await publishing
            assert len(received) > 10
            for got in received:
                await got.until_data([b"%d" % n for n in range(1, 301)])
                assert got.gaps == 0

    async def test_a_subscriber_to_a_new_channel_misses_nothing_when_it_returns(self, store: RealtimeStore) -> None:
        async with store.open() as realtime:
            subscription = await realtime.subscribe(GAME, "events", lambda _: None)
            await subscription.close()
            await realtime.publish(GAME, "events", b"1")
            got = Received()
            resumed = await realtime.subscribe(GAME, "events", got.deliver, subscription.position)
            assert resumed.start.recovered
            assert got.data == [b"1"]

    async def test_what_history_no_longer_holds_is_never_recovered_in_part(self, store: RealtimeStore) -> None:
        async with store.open(history_messages=5) as realtime:
            positions = [await realtime.publish(GAME, "events", b"%d" % n) for n in range(1, 11)]
            got = Received()
            lost = await realtime.subscribe(GAME, "events", got.deliver, positions[3])
            assert not lost.start.recovered
            assert lost.start.position == positions[-1]
            assert got.data == []
            edge = await realtime.subscribe(GAME, "events", got.deliver, positions[4])
            assert edge.start.recovered
            assert got.data == [b"6", b"7", b"8", b"9", b"10"]

    async def test_history_is_bounded_in_bytes(self, store: RealtimeStore) -> None:
        async with store.open(history_bytes=1000, message_bytes=1000) as realtime:
            for n in range(10):
                await realtime.publish(GAME, "events", b'"%d%s"' % (n, b"x" * 297))
            messages, stands = await realtime.history(GAME, "events")
            assert [m.position.offset for m in messages] == [8, 9, 10]
            assert stands.position.offset == 10

    async def test_history_ends_by_age_and_the_position_goes_on(self, store: RealtimeStore) -> None:
        async with store.open(history_ttl_s=60) as realtime:
            first = await realtime.publish(GAME, "events", b"1")
            second = await realtime.publish(GAME, "events", b"2")
            await store.advance(61)
            messages, stands = await realtime.history(GAME, "events")
            assert messages == [] or messages == ()
            assert stands.position == second
            assert not (await realtime.history(GAME, "events", first))[1].recovered
            assert (await realtime.history(GAME, "events", second))[1].recovered, "nothing was missed"
            third = await realtime.publish(GAME, "events", b"3")
            assert third == Position(epoch=first.epoch, offset=3)
            after, stands = await realtime.history(GAME, "events", second)
            assert stands.recovered
            assert [m.data for m in after] == [b"3"]
            assert not (await realtime.history(GAME, "events", first))[1].recovered

    async def test_a_lost_history_starts_another_epoch(self, store: RealtimeStore) -> None:
        """By the offset alone, a reader at 2 would take the new third message for the one that follows."""
        async with store.open(history_ttl_s=60, position_ttl_s=90) as realtime:
            for n in (1, 2):
                last = await realtime.publish(GAME, "events", b"old %d" % n)
            await store.advance(91)
            for n in (1, 2, 3):
                new = await realtime.publish(GAME, "events", b"new %d" % n)
            assert new.offset == 3
            assert new.epoch != last.epoch
            got = Received()
            resumed = await realtime.subscribe(GAME, "events", got.deliver, last)
            assert not resumed.start.recovered
            assert resumed.start.position == new
            assert got.data == []

    async def test_a_position_that_was_never_given_out_is_not_recovered(self, store: RealtimeStore) -> None:
        async with store.open() as realtime:
            last = await realtime.publish(GAME, "events", b"1")
            for wrong in (Position(epoch=last.epoch, offset=2), Position(epoch="0", offset=1)):
                assert not (await realtime.subscribe(GAME, "events", lambda _: None, wrong)).start.recovered
            assert (await realtime.publish(GAME, "events", b"2")).epoch == last.epoch, "a reader changed the channel"

    async def test_history_pages_from_a_position_and_shows_the_newest_without_one(self, store: RealtimeStore) -> None:
        async with store.open() as realtime:
            positions = [await realtime.publish(GAME, "events", b"%d" % n) for n in range(1, 8)]
            newest, stands = await realtime.history(GAME, "events", limit=3)
            assert [m.data for m in newest] == [b"5", b"6", b"7"]
            assert stands.position == positions[-1]
            page, stands = await realtime.history(GAME, "events", positions[1], limit=3)
            assert [m.data for m in page] == [b"3", b"4", b"5"]
            assert stands.recovered
            page, _ = await realtime.history(GAME, "events", page[-1].position, limit=3)
            assert [m.data for m in page] == [b"6", b"7"]

    async def test_the_rate_quota_is_exact_under_concurrency(self, store: RealtimeStore) -> None:
        async with store.open() as realtime:
            for n in range(20):
                game, got = installation_id("game", f"community{n}"), Received()
                await realtime.subscribe(game, "events", got.deliver)
                began = time.monotonic()
                results = await asyncio.gather(
                    *(realtime.publish(game, ("events", "chat")[n % 2], b"1") for n in range(150)),
                    return_exceptions=True,
                )
                windows = 1 + int(time.monotonic() - began)
                accepted = [r for r in results if isinstance(r, Position)]
                refused = [r for r in results if isinstance(r, ShowgroundError)]
                assert 100 <= len(accepted) <= 100 * windows
                if windows == 1:
                    break
            assert (len(accepted), len(refused)) == (100, 50)
            assert {r.code for r in refused} == {"rate_limited"}
            assert all(r.retry_after is not None and 0 < r.retry_after <= 1 for r in refused)
            await realtime.publish(OTHER_COMMUNITY, "events", b"1")
            await store.advance((refused[-1].retry_after or 0) + 0.01)
            await realtime.publish(game, "events", b"1")
            in_events = sum(1 for n, r in enumerate(results) if isinstance(r, Position) and n % 2 == 0)
            await got.until(lambda: len(got.messages) >= in_events + 1)
            assert len(got.messages) == in_events + 1, "a refused message was sent"

    async def test_a_message_over_its_size_is_refused_before_anything_else(self, store: RealtimeStore) -> None:
        async with store.open() as realtime:
            got = Received()
            await realtime.subscribe(GAME, "events", got.deliver)
            limit = realtime.limits.message_bytes
            assert limit == 1024 * 1024
            error = await refusal("too_large", realtime, GAME, "events", b"1" * (limit + 1))
            assert str(limit) in error.message
            await realtime.publish(GAME, "events", b"1" * limit)
            await got.until(lambda: bool(got.messages))
            assert [len(d) for d in got.data] == [limit]
            assert got.messages[0].position.offset == 1

    async def test_a_sixth_channel_is_refused_until_one_stops_counting(self, store: RealtimeStore) -> None:
        async with store.open(history_ttl_s=60) as realtime:
            for n in range(5):
                await realtime.publish(GAME, f"channel_{n}", b"1")
            error = await refusal("quota_exceeded", realtime, GAME, "channel_5", b"1")
            assert error.retry_after is not None
            assert 0 < error.retry_after <= 60
            assert await realtime.channels(GAME) == [f"channel_{n}" for n in range(5)]
            await realtime.publish(GAME, "channel_0", b"2")
            await realtime.publish(OTHER_APP, "channel_5", b"1")
            await store.advance(61)
            await realtime.publish(GAME, "channel_5", b"1")

    @pytest.mark.parametrize("name", ["", "a-b", "a:b", "ä", "a" * 65, "a b", "../x"])
    async def test_a_wrong_channel_name_is_refused(self, store: RealtimeStore, name: str) -> None:
        async with store.open() as realtime:
            await refusal("invalid", realtime, GAME, name, b"1")
            with pytest.raises(ShowgroundError):
                await realtime.subscribe(GAME, name, lambda _: None)

    async def test_installations_do_not_hear_each_other(self, store: RealtimeStore) -> None:
        async with store.open() as realtime:
            owners = (GAME, OTHER_COMMUNITY, OTHER_APP)
            received = {owner: Received() for owner in owners}
            for owner in owners:
                await realtime.subscribe(owner, "events", received[owner].deliver)
            for owner in owners:
                await realtime.publish(owner, "events", b'"%s"' % owner.encode())
            for owner in owners:
                await received[owner].until_data([b'"%s"' % owner.encode()])
                assert [m.data for m in (await realtime.history(owner, "events"))[0]] == [b'"%s"' % owner.encode()]

    async def test_clearing_forgets_one_installation_and_tells_its_subscribers(self, store: RealtimeStore) -> None:
        async with store.open() as realtime:
            got, other = Received(), Received()
            subscription = await realtime.subscribe(GAME, "events", got.deliver, on_gap=got.on_gap)
            await realtime.subscribe(OTHER_APP, "events", other.deliver, on_gap=other.on_gap)
            before = await realtime.publish(GAME, "events", b"1")
            await realtime.publish(OTHER_APP, "events", b"1")
            await got.until_data([b"1"])
            await realtime.clear(GAME)
            await got.until(lambda: got.gaps == 1)
            assert subscription.position.epoch != before.epoch
            assert await realtime.channels(GAME) == []
            assert await realtime.channels(OTHER_APP) == ["events"]
            after = await realtime.publish(GAME, "events", b"2")
            await got.until_data([b"1", b"2"])
            assert (after.epoch, after.offset) == (subscription.position.epoch, 1)
            assert other.gaps == 0

    async def test_a_failing_subscriber_does_not_stop_the_others(
        self, store: RealtimeStore, caplog: pytest.LogCaptureFixture
    ) -> None:
        async with store.open() as realtime:

            def fail(message: Message) -> None:
                raise RuntimeError("no")

            got = Received()
            await realtime.subscribe(GAME, "events", fail)
            await realtime.subscribe(GAME, "events", got.deliver)
            for n in (1, 2):
                await realtime.publish(GAME, "events", b"%d" % n)
            await got.until_data([b"1", b"2"])
            assert "subscriber" in caplog.text

    async def test_five_hundred_subscribers_get_every_message(self, store: RealtimeStore) -> None:
        async with store.open() as realtime:
            received = [Received() for _ in range(500)]
            subscriptions = [await realtime.subscribe(GAME, "events", got.deliver) for got in received]
            expected = [b"%d" % n for n in range(20)]
            for data in expected:
                await realtime.publish(GAME, "events", data)
            for got in received:
                await got.until_data(expected)
            stays = Received()
            await realtime.subscribe(GAME, "events", stays.deliver)
            for subscription in subscriptions:
                await subscription.close()
            await realtime.publish(GAME, "events", b"late")
            await stays.until_data([b"late"])
            assert all(got.data == expected for got in received)
