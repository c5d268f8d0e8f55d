"""What every forum must do that gives apps `context.reddit`. Subclass `RedditConformance` and give it the `forum` fixture of
`showground.testing.conformance.community`.

An app speaks to it here as it does in a host: through its client, over msgpack. Methods that a forum leaves out are passed over.
"""

from __future__ import annotations

from typing import Any

import msgspec
import pytest

from showground.capabilities import Community
from showground.context.reddit import RedditClient
from showground.errors import ShowgroundError
from showground.keys import installation_id
from showground.model import AppVersion, Invocation, PostTypeSpec, Registration
from showground.testing.conformance.community import BOARD, LIBRARY, PLAYGROUND, STRANGE_IDS, ForumUnderTest

APP = AppVersion(
    app="board",
    version="1.0.0",
    digest="d",
    entry="main.py",
    registration=Registration(post_types=(PostTypeSpec(name="Board"),), user_scopes=("SUBMIT_COMMENT",)),
)


def reddit(
    forum: ForumUnderTest, community: Community, user_id: str | None = None, place: str = PLAYGROUND
) -> RedditClient:
    """`context.reddit` of the app in *place*, with *user_id* before the screen. The app has the scope `SUBMIT_COMMENT`."""
    invocation = Invocation(
        id="i", installation=installation_id("board", place), app="board", app_version="1.0.0", community=place,
        kind="menu", name="m", timeout_s=30, user_id=user_id,
    )  # fmt: skip
    methods = forum.methods(community, invocation, APP)

    async def call(member: str, method: str, /, *args: object) -> Any:
        assert member == "reddit"
        if method not in methods:
            pytest.skip(f"this forum has no {method}")
        arguments = msgspec.msgpack.decode(msgspec.msgpack.encode(args))
        return msgspec.msgpack.decode(msgspec.msgpack.encode(await methods[method](*arguments)))

    return RedditClient(call)


class RedditConformance:
    async def test_a_post_with_data_is_a_live_post_of_the_app(self, forum: ForumUnderTest) -> None:
        async with forum.open() as community:
            post = await reddit(forum, community).submit_post("Board", post_data={"size": 8, "name": "ü"})
            live = await community.live_post(post.id)
            assert live is not None
            assert (live.installation, live.post_type) == (BOARD, "Board")
            assert msgspec.json.decode(live.data) == {"size": 8, "name": "ü"}
            assert post.author_name == "board"

    async def test_a_post_of_text_is_found_again_and_not_live(self, forum: ForumUnderTest) -> None:
        async with forum.open() as community:
            client = reddit(forum, community)
            post = await client.submit_post("News", text="plain")
            assert await community.live_post(post.id) is None
            again = await client.get_post_by_id(post.id)
            assert (again.title, again.body, again.author_id) == ("News", "plain", post.author_id)
            assert [p.id for p in await client.get_new_posts()] == [post.id]

    async def test_comments_answer_a_post_or_a_comment_and_are_found_below_the_post(
        self, forum: ForumUnderTest
    ) -> None:
        async with forum.open() as community:
            client = reddit(forum, community)
            post_id = await forum.submit_post(PLAYGROUND, await forum.join("Ada"), "Hello")
            first = await client.submit_comment(post_id, "one")
            answer = await first.reply("two")
            assert (first.parent_id, answer.parent_id, answer.post_id) == (post_id, first.id, post_id)
            assert {c.body for c in await client.get_comments(post_id)} == {"one", "two"}
            await client.remove(first.id)
            assert [c.body for c in await client.get_comments(post_id)] == ["two"]

    async def test_a_locked_post_takes_no_comments_until_it_is_unlocked(self, forum: ForumUnderTest) -> None:
        async with forum.open() as community:
            client = reddit(forum, community)
            post = await client.get_post_by_id(await forum.submit_post(PLAYGROUND, await forum.join("Ada"), "Hello"))
            await post.lock()
            with pytest.raises(ShowgroundError) as refused:
                await post.reply("late")
            assert refused.value.code == "forbidden"
            await post.unlock()
            await post.reply("in time")
            assert [c.body for c in await post.get_comments()] == ["in time"]

    async def test_an_app_sees_and_touches_nothing_of_another_community(self, forum: ForumUnderTest) -> None:
        async with forum.open() as community:
            ada = await forum.join("Ada")
            post_id = await forum.submit_post(LIBRARY, ada, "Secret")
            there = await reddit(forum, community, place=LIBRARY).submit_comment(post_id, "hidden")
            client = reddit(forum, community)
            for attempt in (
                client.get_post_by_id(post_id),
                client.get_comments(post_id),
                client.get_comment_by_id(there.id),
                client.submit_comment(post_id, "spam"),
                client.submit_comment(there.id, "spam"),
                client.remove(post_id),
                client.remove(there.id),
            ):
                with pytest.raises(ShowgroundError) as refused:
                    await attempt
                assert refused.value.code == "not_found"
            assert await client.get_new_posts() == []
            with pytest.raises(ShowgroundError) as refused:
                await client.submit_post("Spam", text="x", subreddit_name=LIBRARY)
            assert refused.value.code == "forbidden"
            untouched = await reddit(forum, community, place=LIBRARY).get_comments(post_id)
            assert [c.body for c in untouched] == ["hidden"]

    async def test_an_app_changes_and_deletes_only_what_it_wrote(self, forum: ForumUnderTest) -> None:
        async with forum.open() as community:
            ada = await forum.join("Ada")
            client = reddit(forum, community)
            hers = await client.get_post_by_id(await forum.submit_post(PLAYGROUND, ada, "Hers"))
            in_her_name = await reddit(forum, community, ada).submit_comment(hers.id, "hers", run_as="user")
            for thing in (hers, in_her_name):
                for attempt in (thing.edit("mine"), thing.delete()):
                    with pytest.raises(ShowgroundError) as refused:
                        await attempt
                    assert refused.value.code == "forbidden"
            own = await client.submit_post("Mine", text="draft")
            assert (await own.edit("final")).body == "final"
            await own.delete()
            with pytest.raises(ShowgroundError) as refused:
                await client.get_post_by_id(own.id)
            assert refused.value.code == "not_found"

    async def test_acting_as_a_user_needs_the_scope_and_somebody_signed_in(self, forum: ForumUnderTest) -> None:
        async with forum.open() as community:
            ada = await forum.join("Ada")
            post_id = await forum.submit_post(PLAYGROUND, ada, "Hello")
            comment = await reddit(forum, community, ada).submit_comment(post_id, "as her", run_as="user")
            assert (comment.author_id, comment.author_name) == (ada, "Ada")
            with pytest.raises(ShowgroundError) as nobody:
                await reddit(forum, community).submit_comment(post_id, "as nobody", run_as="user")
            assert nobody.value.code == "forbidden"
            with pytest.raises(ShowgroundError) as unscoped:
                await reddit(forum, community, ada).submit_post("as her", text="x", run_as="user")
            assert unscoped.value.code == "not_configured"
            assert [c.body for c in await reddit(forum, community).get_comments(post_id)] == ["as her"]

    async def test_people_are_who_the_forum_says_they_are(self, forum: ForumUnderTest) -> None:
        async with forum.open() as community:
            ada, bob = await forum.join("Ada"), await forum.join("Bob")
            await forum.appoint(PLAYGROUND, ada, True)
            await forum.appoint(LIBRARY, bob, True)
            user = await reddit(forum, community, ada).get_current_user()
            assert user is not None
            assert (user.id, user.username, user.is_moderator) == (ada, "Ada", True)
            client = reddit(forum, community)
            assert await client.get_current_user() is None
            assert await client.get_user_by_id(ada) == await client.get_user_by_username("Ada") == user
            other = await client.get_user_by_id(bob)
            assert other is not None
            assert not other.is_moderator
            assert await client.get_user_by_username("Nobody") is None
            assert [m.id for m in await client.get_moderators()] == [ada]
            assert await client.get_current_subreddit_name() == PLAYGROUND

    @pytest.mark.parametrize("strange", STRANGE_IDS, ids=lambda text: ascii(text)[:20])
    async def test_what_is_unknown_is_not_found(self, forum: ForumUnderTest, strange: str) -> None:
        async with forum.open() as community:
            client = reddit(forum, community)
            for attempt in (
                client.get_post_by_id(strange),
                client.get_comments(strange),
                client.get_comment_by_id(strange),
                client.submit_comment(strange, "x"),
                client.remove(strange),
            ):
                with pytest.raises(ShowgroundError) as refused:
                    await attempt
                assert refused.value.code == "not_found"
            assert await client.get_user_by_id(strange) is None
