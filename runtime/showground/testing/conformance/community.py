"""What every provider of the community capability must do: run it before a forum of yours takes the built-in one's place.

Subclass `CommunityConformance` and give it a `forum` fixture. `showground.testing.conformance.reddit` goes on from there, for
forums that give apps `context.reddit`.

class TestMyForum(CommunityConformance):
    @pytest.fixture
    def forum(self) -> ForumUnderTest:
        ...
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from contextlib import AbstractAsyncContextManager
from typing import Protocol

import msgspec
import pytest
from aiohttp import web
from aiohttp.test_utils import make_mocked_request

from showground.capabilities import Community, LivePost, Member
from showground.errors import ShowgroundError
from showground.hookspecs import Method
from showground.keys import InstallationId, installation_id
from showground.model import AppVersion, Invocation

BOARD = installation_id("board", "playground")
PLAYGROUND, LIBRARY = "playground", "library"
STRANGE_IDS = (
    *(
        "",
        "t3_",
        "t2_",
        "t1_",
        "t3_0",
        "t2_0",
        "t3_zzzzzzzzzz",
        "t2_zzzzzzzzzz",
        "T3_1",
        "t4_1",
        "ä",
        "t3_ä",
        "\0",
        "\n",
    ),
    *("t3_*", "t3_1:2", "t3_{1}", "../t3_1", "t3_1/..", "t3_' OR 1=1 --", "t3_" + "9" * 10_000),
)
"""Ids that nobody has. All of them can come from a browser's address line, or from an app."""


class ForumUnderTest(Protocol):
    """Your forum as one test needs it: empty, with the communities `playground` and `library`."""

    def open(self) -> AbstractAsyncContextManager[Community]:
        """The provider of one more host over it, as `offer(COMMUNITY, name, build)` builds it."""
        ...

    async def submit_live_post(self, installation: InstallationId, post_type: str, data: bytes) -> str:
        """A post of an app, as the forum makes it when that app submits one; its id."""
        ...

    async def submit_post(self, community: str, author_id: str, title: str) -> str:
        """A post that somebody wrote, without an app; its id."""
        ...

    async def take_away(self, post_id: str) -> None:
        """Remove a post, as a moderator does."""
        ...

    async def join(self, name: str) -> str:
        """A new person; the id."""
        ...

    async def appoint(self, community: str, user_id: str, is_moderator: bool) -> None:
        """Make somebody a moderator there, or no longer."""
        ...

    async def sign_in(self, user_id: str) -> str:
        """What that person's browser sends in `Cookie` from now on: the session, `name=value`, and nothing else."""
        ...

    async def end_session(self, cookie: str) -> None:
        """Whatever ends a session in your forum: somebody signs out, or its time passes."""
        ...

    def away(self) -> AbstractAsyncContextManager[None]:
        """While it is entered, what the provider asks (a database, another service) does not answer."""
        ...

    def methods(self, community: Community, invocation: Invocation, app: AppVersion) -> Mapping[str, Method]:
        """What your `context` hook extends `reddit` with. Only `showground.testing.conformance.reddit` calls it."""
        ...


def request(cookie: str | None) -> web.Request:
    """What a browser sends that has this cookie."""
    return make_mocked_request("GET", "/", headers={} if cookie is None else {"Cookie": cookie})


class CommunityConformance:
    # --- posts ---

    @pytest.mark.parametrize("data", ['{"text": "Grüße 🎉\\n", "n": [1, 2.50, null]}'.encode(), b"null", b'"x"'])
    async def test_a_live_post_is_its_apps_with_what_the_app_gave_byte_for_byte(
        self, forum: ForumUnderTest, data: bytes
    ) -> None:
        async with forum.open() as community:
            post_id = await forum.submit_live_post(BOARD, "Board", data)
            expected = LivePost(id=post_id, installation=BOARD, post_type="Board", data=data)
            assert await community.live_post(post_id) == expected
            assert post_id.startswith("t3_")

    async def test_every_host_sees_it_at_once(self, forum: ForumUnderTest) -> None:
        async with forum.open() as one, forum.open() as two:
            for _ in range(5):
                post_id = await forum.submit_live_post(BOARD, "Board", b"null")
                assert [(await host.live_post(post_id)) is not None for host in (one, two)] == [True, True]

    async def test_a_post_without_an_app_is_not_live(self, forum: ForumUnderTest) -> None:
        async with forum.open() as community:
            post_id = await forum.submit_post(PLAYGROUND, await forum.join("Ada"), "Hello")
            assert await community.live_post(post_id) is None

    async def test_a_post_that_was_taken_away_is_not_live_on_any_host(self, forum: ForumUnderTest) -> None:
        async with forum.open() as one, forum.open() as two:
            gone = await forum.submit_live_post(BOARD, "Board", b"null")
            kept = await forum.submit_live_post(BOARD, "Board", b"null")
            assert await one.live_post(gone) is not None
            assert await two.live_post(gone) is not None
            await forum.take_away(gone)
            assert (await one.live_post(gone), await two.live_post(gone)) == (None, None)
            assert await one.live_post(kept) is not None

    async def test_many_who_open_posts_at_once_each_get_their_own(self, forum: ForumUnderTest) -> None:
        async with forum.open() as community:
            ids = [await forum.submit_live_post(BOARD, "Board", b"%d" % n) for n in range(20)]
            found = await asyncio.gather(*(community.live_post(post_id) for post_id in ids * 25))
            assert [post.data if post else None for post in found] == [b"%d" % n for n in range(20)] * 25

    # --- people ---

    async def test_a_member_is_known_by_id_and_moderates_where_appointed(self, forum: ForumUnderTest) -> None:
        async with forum.open() as one, forum.open() as two:
            ada = await forum.join("Ada")
            await forum.appoint(PLAYGROUND, ada, True)
            assert await one.member(PLAYGROUND, ada) == Member(id=ada, name="Ada", is_moderator=True)
            assert ada.startswith("t2_")
            elsewhere = await one.member(LIBRARY, ada)
            assert elsewhere is None or not elsewhere.is_moderator
            await forum.appoint(PLAYGROUND, ada, False)
            for host in (one, two):
                assert await host.member(PLAYGROUND, ada) == Member(id=ada, name="Ada")

    @pytest.mark.parametrize("strange", STRANGE_IDS, ids=lambda text: ascii(text)[:20])
    async def test_for_what_is_unknown_the_answer_is_none(self, forum: ForumUnderTest, strange: str) -> None:
        async with forum.open() as community:
            post_id, ada = await forum.submit_live_post(BOARD, "Board", b"null"), await forum.join("Ada")
            for unknown in (strange, ada):
                assert await community.live_post(unknown) is None
            for unknown in (strange, post_id):
                assert await community.member(PLAYGROUND, unknown) is None

    # --- who sent a request ---

    async def test_a_session_says_who_it_is_and_no_session_nobody(self, forum: ForumUnderTest) -> None:
        async with forum.open() as one, forum.open() as two:
            ada, bob = await forum.join("Ada"), await forum.join("Bob")
            await forum.appoint(PLAYGROUND, ada, True)
            cookies = {user_id: await forum.sign_in(user_id) for user_id in (ada, bob)}
            for host in (one, two):
                for user_id, cookie in cookies.items():
                    signed_in = await host.signed_in(request(cookie), PLAYGROUND)
                    assert signed_in is not None
                    assert signed_in == await host.member(PLAYGROUND, user_id)
                assert await host.signed_in(request(None), PLAYGROUND) is None

    async def test_a_session_does_not_make_a_moderator_elsewhere_or_longer_than_appointed(
        self, forum: ForumUnderTest
    ) -> None:
        async with forum.open() as community:
            ada = await forum.join("Ada")
            await forum.appoint(PLAYGROUND, ada, True)
            cookie = await forum.sign_in(ada)
            elsewhere = await community.signed_in(request(cookie), LIBRARY)
            assert elsewhere is None or not elsewhere.is_moderator
            await forum.appoint(PLAYGROUND, ada, False)
            assert await community.signed_in(request(cookie), PLAYGROUND) == Member(id=ada, name="Ada")

    async def test_a_session_that_ended_proves_nothing(self, forum: ForumUnderTest) -> None:
        async with forum.open() as community:
            cookie = await forum.sign_in(await forum.join("Ada"))
            assert await community.signed_in(request(cookie), PLAYGROUND) is not None
            await forum.end_session(cookie)
            assert await community.signed_in(request(cookie), PLAYGROUND) is None

    async def test_a_session_that_was_changed_proves_nothing(self, forum: ForumUnderTest) -> None:
        async with forum.open() as community:
            ada, bob = [await forum.sign_in(await forum.join(name)) for name in ("Ada", "Bob")]
            name, _, value = ada.partition("=")
            other = bob.partition("=")[2]
            # Not the last one: in base64 it may mean what its neighbour in the alphabet means.
            changed = [value[:n] + ("A" if value[n] != "A" else "B") + value[n + 1 :] for n in range(len(value) - 1)]
            joined = [value[:n] + other[n:] for n in range(1, len(value)) if value[n:] != other[n:] != other[-1]]
            mixed = [text for text in joined if text not in (value, other)]
            for forged in (
                *changed,
                *mixed,
                value + value,
                value[: len(value) // 2],
                "",
                ".",
                "..",
                "9" * 5000,
                '"',
                "ä",
            ):
                assert await community.signed_in(request(f"{name}={forged}"), PLAYGROUND) is None, forged

    # --- when it does not answer ---

    async def test_while_the_forum_does_not_answer_callers_are_told_to_come_back(self, forum: ForumUnderTest) -> None:
        async with forum.open() as community:
            post_id, ada = await forum.submit_live_post(BOARD, "Board", b"null"), await forum.join("Ada")
            cookie = await forum.sign_in(ada)
            async with forum.away():
                asked = (
                    community.live_post(post_id),
                    community.member(PLAYGROUND, ada),
                    community.signed_in(request(cookie), PLAYGROUND),
                )
                answers = await asyncio.gather(*asked, return_exceptions=True)
            for answer in answers:
                # What a cache still knows is right, too; "there is none" is not.
                assert answer is not None
                if isinstance(answer, BaseException):
                    assert isinstance(answer, ShowgroundError), repr(answer)
                    assert answer.code == "store_unavailable"
            assert await community.live_post(post_id) is not None
            assert await community.signed_in(request(cookie), PLAYGROUND) == Member(id=ada, name="Ada")

    async def test_what_it_answers_can_cross_to_a_worker(self, forum: ForumUnderTest) -> None:
        async with forum.open() as community:
            post_id, ada = await forum.submit_live_post(BOARD, "Board", b'{"n":1}'), await forum.join("Ada 🎉")
            for record in (await community.live_post(post_id), await community.member(PLAYGROUND, ada)):
                assert record is not None
                kind = type(record)
                assert kind in (LivePost, Member)
                assert msgspec.msgpack.decode(msgspec.msgpack.encode(record), type=kind) == record
