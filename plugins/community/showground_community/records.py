"""What the built-in community remembers. Field names and ids follow Devvit's PostV2, CommentV2 and UserV2."""

from __future__ import annotations

from typing import Literal

import msgspec

from showground.capabilities import Member
from showground.keys import InstallationId
from showground.model import Frozen


class Flair(Frozen, frozen=True, kw_only=True):
    text: str
    background_color: str = ""
    text_color: Literal["light", "dark"] = "dark"


class User(Frozen, frozen=True, kw_only=True):
    id: str
    """`t2_…`."""
    name: str
    created_at_ms: int = 0
    is_app: bool = False
    """The account of an app, as which it posts."""


class Post(Frozen, frozen=True, kw_only=True):
    id: str
    """`t3_…`."""
    community: str
    title: str
    author_id: str
    author_name: str
    created_at_ms: int
    body: str = ""
    url: str = ""
    installation: InstallationId | None = None
    """The app whose interactive post this is; None for a plain post."""
    post_type: str = ""
    data: bytes = b"null"
    """JSON that the app gave along."""
    preview: bytes = b""
    """JSON tree to show where the post cannot run."""
    flair: Flair | None = None
    num_comments: int = 0
    nsfw: bool = False
    spoiler: bool = False
    locked: bool = False
    sticky: bool = False
    removed: bool = False
    approved: bool = False
    deleted: bool = False
    edited_at_ms: int = 0
    num_reports: int = 0

    def to_json(self) -> dict[str, object]:
        """As events and `context.reddit` carry it: without the app's data, with `permalink`."""
        told: dict[str, object] = msgspec.to_builtins(self)
        for name in ("data", "preview"):
            told.pop(name, None)
        return {"permalink": f"/c/{self.community}/posts/{self.id}", "num_comments": self.num_comments, **told}


class Comment(Frozen, frozen=True, kw_only=True):
    id: str
    """`t1_…`."""
    post_id: str
    parent_id: str
    """The post's id, or that of the comment it answers."""
    community: str
    body: str
    author_id: str
    author_name: str
    created_at_ms: int
    edited_at_ms: int = 0
    removed: bool = False
    approved: bool = False
    deleted: bool = False
    num_reports: int = 0

    def to_json(self) -> dict[str, object]:
        told: dict[str, object] = msgspec.to_builtins(self)
        return {"permalink": f"/c/{self.community}/posts/{self.post_id}#{self.id}", **told}


def is_shown(post: Post, member: Member | None) -> bool:
    """Whether *member* (None: a stranger) sees it in lists and by its link."""
    return not post.deleted and (not post.removed or (member is not None and member.is_moderator))
