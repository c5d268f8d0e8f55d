"""`context.reddit`: people, posts and comments of the app's own community, under Devvit's names in snake_case.

What is here is what the built-in community can do; docs/community.md lists it. An operator's own forum may offer more or less.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

import msgspec

from showground.context.call import Call
from showground.errors import ShowgroundError
from showground.model import Json

MEMBER = "reddit"
RunAs = Literal["app", "user"]


@dataclass(frozen=True, slots=True)
class User:
    id: str
    """`t2_…`"""
    username: str
    is_moderator: bool
    is_app: bool

    @property
    def name(self) -> str:
        return self.username


@dataclass(frozen=True, slots=True)
class Subreddit:
    id: str
    name: str
    permalink: str


class _Thing:
    """Fields of a post or comment as they were when it was fetched, and what can be done with it now."""

    def __init__(self, call: Call, fields: Mapping[str, Any]) -> None:
        self._call = call
        self.fields = fields
        self.id: str = fields["id"]
        self.author_id: str = fields["author_id"]
        self.author_name: str = fields["author_name"]
        self.body: str = fields.get("body", "")
        self.created_at_ms: int = fields["created_at_ms"]
        self.permalink: str = fields["permalink"]
        self.is_removed: bool = fields.get("removed", False)
        self.is_approved: bool = fields.get("approved", False)

    async def approve(self) -> None:
        await self._call(MEMBER, "moderate", self.id, "approve")

    async def remove(self, is_spam: bool = False) -> None:
        await self._call(MEMBER, "moderate", self.id, "spam" if is_spam else "remove")

    async def delete(self) -> None:
        """Only what the app itself wrote; raises `forbidden` else."""
        await self._call(MEMBER, "delete", self.id)

    async def report(self, reason: str) -> None:
        await self._call(MEMBER, "report", self.id, reason)

    async def reply(self, text: str, run_as: RunAs = "app") -> Comment:
        return Comment(self._call, await self._call(MEMBER, "submit_comment", self.id, text, run_as))


class Post(_Thing):
    def __init__(self, call: Call, fields: Mapping[str, Any]) -> None:
        super().__init__(call, fields)
        self.title: str = fields["title"]
        self.url: str = fields.get("url", "")
        self.number_of_comments: int = fields.get("num_comments", 0)
        self.is_locked: bool = fields.get("locked", False)
        self.is_nsfw: bool = fields.get("nsfw", False)
        self.is_spoiler: bool = fields.get("spoiler", False)
        self.flair: Mapping[str, str] | None = fields.get("flair")

    async def get_comments(self) -> list[Comment]:
        """Oldest first, without those that were removed or deleted."""
        return [Comment(self._call, fields) for fields in await self._call(MEMBER, "comments", self.id)]

    async def edit(self, text: str) -> Post:
        """Change the text of a post that the app itself wrote."""
        return Post(self._call, await self._call(MEMBER, "edit_post", self.id, text))

    async def lock(self) -> None:
        await self._call(MEMBER, "moderate", self.id, "lock")

    async def unlock(self) -> None:
        await self._call(MEMBER, "moderate", self.id, "unlock")

    async def sticky(self) -> None:
        await self._call(MEMBER, "moderate", self.id, "sticky")

    async def unsticky(self) -> None:
        await self._call(MEMBER, "moderate", self.id, "unsticky")

    async def mark_as_nsfw(self, on: bool = True) -> None:
        await self._call(MEMBER, "mark", self.id, "nsfw", on)

    async def mark_as_spoiler(self, on: bool = True) -> None:
        await self._call(MEMBER, "mark", self.id, "spoiler", on)

    async def set_flair(
        self, text: str, background_color: str = "", text_color: Literal["light", "dark"] = "dark"
    ) -> None:
        """Empty *text* takes the flair away."""
        await self._call(MEMBER, "set_post_flair", self.id, _flair(text, background_color, text_color))


class Comment(_Thing):
    def __init__(self, call: Call, fields: Mapping[str, Any]) -> None:
        super().__init__(call, fields)
        self.post_id: str = fields["post_id"]
        self.parent_id: str = fields["parent_id"]

    async def edit(self, text: str) -> Comment:
        """Change the text of a comment that the app itself wrote."""
        return Comment(self._call, await self._call(MEMBER, "edit_comment", self.id, text))


class RedditClient:
    """Needs `Devvit.configure(reddit_api=True)`. Everything is about the invocation's community; other posts are `not_found`."""

    def __init__(self, call: Call) -> None:
        self._call = call

    async def get_current_user(self) -> User | None:
        """The viewer who acts; None for somebody who is not signed in, and in triggers and jobs."""
        return _user(await self._call(MEMBER, "current_user"))

    async def get_current_username(self) -> str | None:
        user = await self.get_current_user()
        return user.username if user else None

    async def get_user_by_id(self, user_id: str) -> User | None:
        return _user(await self._call(MEMBER, "user_by_id", user_id))

    async def get_user_by_username(self, username: str) -> User | None:
        return _user(await self._call(MEMBER, "user_by_name", username))

    async def get_moderators(self) -> list[User]:
        found = [_user(fields) for fields in await self._call(MEMBER, "moderators")]
        return [user for user in found if user is not None]

    async def get_current_subreddit(self) -> Subreddit:
        return Subreddit(**await self._call(MEMBER, "subreddit"))

    async def get_current_subreddit_name(self) -> str:
        return (await self.get_current_subreddit()).name

    async def submit_post(
        self,
        title: str,
        *,
        subreddit_name: str | None = None,
        preview: Any = None,
        text: str | None = None,
        url: str | None = None,
        post_data: Json = None,
        run_as: RunAs = "app",
    ) -> Post:
        """Submit a post. With *preview* (a block) or *post_data* it is an interactive one of the app's custom post type.

        *preview* is shown where the post cannot run; *post_data* (JSON, at most 16 KB) is `context.post_data` in it.
        *subreddit_name* may only be the own community: apps post where they are installed.
        """
        if subreddit_name is not None and subreddit_name != await self.get_current_subreddit_name():
            raise ShowgroundError(
                "forbidden",
                f"an app cannot post to {subreddit_name}",
                "subreddit_name",
                "Leave it out: it is this community.",
            )
        fields: dict[str, Any] = {"run_as": run_as}
        if preview is not None:
            fields["preview"] = _tree(preview)
        fields.update({name: value for name, value in (("text", text), ("url", url)) if value is not None})
        if post_data is not None:
            fields["post_data"] = msgspec.json.encode(post_data)
        return Post(self._call, await self._call(MEMBER, "submit_post", title, fields))

    async def get_post_by_id(self, post_id: str) -> Post:
        """Raises `not_found`."""
        return Post(self._call, await self._call(MEMBER, "post", post_id))

    async def get_new_posts(self, limit: int = 25, before_ms: int | None = None) -> list[Post]:
        """Newest first, at most 100; *before_ms* is the creation time of the last one that you have."""
        return [Post(self._call, fields) for fields in await self._call(MEMBER, "posts", limit, before_ms)]

    async def submit_comment(self, id: str, text: str, run_as: RunAs = "app") -> Comment:
        """Answer the post or comment *id*."""
        return Comment(self._call, await self._call(MEMBER, "submit_comment", id, text, run_as))

    async def get_comment_by_id(self, comment_id: str) -> Comment:
        return Comment(self._call, await self._call(MEMBER, "comment", comment_id))

    async def get_comments(self, post_id: str) -> list[Comment]:
        return [Comment(self._call, fields) for fields in await self._call(MEMBER, "comments", post_id)]

    async def approve(self, id: str) -> None:
        await self._call(MEMBER, "moderate", id, "approve")

    async def remove(self, id: str, is_spam: bool = False) -> None:
        await self._call(MEMBER, "moderate", id, "spam" if is_spam else "remove")

    async def set_user_flair(
        self, user_id: str, text: str, background_color: str = "", text_color: Literal["light", "dark"] = "dark"
    ) -> None:
        """Empty *text* takes the flair away."""
        await self._call(MEMBER, "set_user_flair", user_id, _flair(text, background_color, text_color))

    async def get_user_flair(self, user_id: str) -> Mapping[str, str] | None:
        found: Mapping[str, str] | None = await self._call(MEMBER, "user_flair", user_id)
        return found


def _user(fields: Mapping[str, Any] | None) -> User | None:
    if fields is None:
        return None
    return User(
        id=fields["id"],
        username=fields["name"],
        is_moderator=fields.get("is_moderator", False),
        is_app=fields.get("is_app", False),
    )


def _flair(text: str, background_color: str, text_color: str) -> dict[str, str] | None:
    if not text:
        return None
    return {"text": text, "background_color": background_color, "text_color": text_color}


def _tree(preview: Any) -> bytes:
    from showground.ui.preview import preview_tree

    return preview_tree(preview)
