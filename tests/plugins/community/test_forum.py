"""What people and apps do in a community, and the events that it causes, on a real Redis."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import pytest

from showground.context.reddit import RedditClient
from showground.errors import ShowgroundError
from showground.keys import InstallationId, KeySpace
from showground.model import Invocation
from showground.redis.api import Redis
from showground.testing.clock import ManualClock
from showground.testing.conformance.reddit import APP
from showground_community.api import RedditApi
from showground_community.forum import Forum, post_of
from showground_community.records import User
from showground_community.sessions import Sessions
from showground_community.store import Store


@dataclass
class Events:
    told: list[tuple[str, str, Mapping[str, Any]]] = field(default_factory=list)
    ids: list[str | None] = field(default_factory=list)

    async def __call__(self, community: str, type: str, data: Mapping[str, Any], *, id: str | None = None) -> None:
        self.told.append((community, type, data))
        self.ids.append(id)

    @property
    def names(self) -> list[str]:
        return [name for _, name, _ in self.told]


@pytest.fixture
def events() -> Events:
    return Events()


@pytest.fixture
def forum(redis: Redis, keys: KeySpace, clock: ManualClock, events: Events) -> Forum:
    return Forum(Store(redis, keys), Sessions(b"s" * 32, clock), clock, events)


@pytest.fixture
async def ada(forum: Forum) -> User:
    return await forum.join("Ada")


def reddit(forum: Forum, user: User | None = None, community: str = "playground") -> RedditClient:
    """What app code sees, joined to the host's side as the worker protocol joins them."""
    invocation = Invocation(
        id="i", installation=InstallationId(f"board:{community}"), app="board", app_version="1.0.0", community=community,
        kind="menu", name="m", timeout_s=30, user_id=user.id if user else None,
    )  # fmt: skip
    methods = RedditApi(forum, invocation, APP).methods()

    async def call(member: str, method: str, /, *args: object) -> Any:
        assert member == "reddit"
        return await methods[method](*args)

    return RedditClient(call)


async def test_a_post_is_found_again_and_tells_submit_and_create(forum: Forum, ada: User, events: Events) -> None:
    post = await forum.submit_post("playground", ada.id, "Hello", "World")
    assert [p.title for p in await forum.store.posts("playground")] == ["Hello"]
    assert events.names == ["PostSubmit", "PostCreate"]
    _, _, data = events.told[0]
    assert data["post"]["title"] == "Hello"
    assert data["author"]["name"] == "Ada"
    assert events.ids == [f"PostSubmit/{post.id}", f"PostCreate/{post.id}"]


async def test_a_name_is_one_person_whatever_its_case(forum: Forum, ada: User) -> None:
    assert (await forum.join("ADA")).id == ada.id


async def test_comments_come_oldest_first_and_tell_both_events(
    forum: Forum, ada: User, events: Events, clock: ManualClock
) -> None:
    post = await forum.submit_post("playground", ada.id, "Hello")
    first = await forum.submit_comment(post.id, ada.id, "one")
    await clock.advance(1)
    answer = await forum.submit_comment(first.id, ada.id, "two")
    assert [c.body for c in await forum.store.comments(post.id)] == ["one", "two"]
    assert answer.parent_id == first.id
    assert post_of(answer.id) == post.id
    assert events.names[2:] == ["CommentSubmit", "CommentCreate"] * 2
    found = await forum.store.post(post.id)
    assert found is not None
    assert found.num_comments == 2


async def test_a_locked_post_takes_no_comments_until_it_is_unlocked(forum: Forum, ada: User, events: Events) -> None:
    post = await forum.submit_post("playground", ada.id, "Hello")
    client = reddit(forum)
    await (await client.get_post_by_id(post.id)).lock()
    with pytest.raises(ShowgroundError, match="is locked"):
        await client.submit_comment(post.id, "late")
    await (await client.get_post_by_id(post.id)).unlock()
    await client.submit_comment(post.id, "in time")
    actions = [data["action"] for _, name, data in events.told if name == "ModAction"]
    assert actions == ["lock", "unlock"]


async def test_removing_and_approving_tell_devvits_action_names(forum: Forum, ada: User, events: Events) -> None:
    post = await forum.submit_post("playground", ada.id, "Hello")
    comment = await forum.submit_comment(post.id, ada.id, "rude")
    client = reddit(forum)
    await client.remove(comment.id)
    await client.remove(post.id, is_spam=True)
    await client.approve(post.id)
    actions = [data["action"] for _, name, data in events.told if name == "ModAction"]
    assert actions == ["removecomment", "spamlink", "approvelink"]
    assert await client.get_comments(post.id) == []


async def test_an_app_changes_and_deletes_only_what_it_wrote(forum: Forum, ada: User, events: Events) -> None:
    client = reddit(forum)
    foreign = await client.get_post_by_id((await forum.submit_post("playground", ada.id, "Hers")).id)
    with pytest.raises(ShowgroundError, match="not the app's own"):
        await foreign.edit("mine")
    with pytest.raises(ShowgroundError, match="not the app's own"):
        await foreign.delete()
    own = await client.submit_post("Mine", text="draft")
    assert (await own.edit("final")).body == "final"
    await own.delete()
    with pytest.raises(ShowgroundError) as caught:
        await client.get_post_by_id(own.id)
    assert caught.value.code == "not_found"
    assert events.names[-2:] == ["PostUpdate", "PostDelete"]


async def test_flair_and_marks_tell_their_events_once(forum: Forum, ada: User, events: Events) -> None:
    post = await reddit(forum).get_post_by_id((await forum.submit_post("playground", ada.id, "Hello")).id)
    await post.set_flair("News", "#ff0000")
    await post.mark_as_nsfw()
    await post.mark_as_nsfw()
    await post.mark_as_spoiler()
    assert events.names[2:] == ["PostFlairUpdate", "PostNsfwUpdate", "PostSpoilerUpdate"]
    client = reddit(forum)
    await client.set_user_flair(ada.id, "Founder")
    flair = await client.get_user_flair(ada.id)
    assert flair is not None
    assert flair["text"] == "Founder"
    await client.set_user_flair(ada.id, "")
    assert await client.get_user_flair(ada.id) is None


@pytest.mark.parametrize(
    ("title", "body", "code"), [("", "x", "invalid"), ("t" * 301, "", "too_large"), ("t", "b" * 40_001, "too_large")]
)
async def test_a_post_that_is_empty_or_too_long_is_refused_whole(
    forum: Forum, ada: User, events: Events, title: str, body: str, code: str
) -> None:
    with pytest.raises(ShowgroundError) as caught:
        await forum.submit_post("playground", ada.id, title, body)
    assert caught.value.code == code
    assert await forum.store.posts("playground") == []
    assert events.told == []


async def test_posts_are_paged_newest_first(forum: Forum, ada: User, clock: ManualClock) -> None:
    for number in range(5):
        await forum.submit_post("playground", ada.id, str(number))
        await clock.advance(1)
    client = reddit(forum)
    first = await client.get_new_posts(limit=3)
    rest = await client.get_new_posts(limit=3, before_ms=first[-1].created_at_ms)
    assert [p.title for p in [*first, *rest]] == ["4", "3", "2", "1", "0"]
