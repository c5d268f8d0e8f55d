"""What can be done in a community, and the events that it causes: the provider of `COMMUNITY`.

An event is sent after the change is in Redis. A host that dies between the two has changed something that no app hears of; the
ids of events are those of their change, so whoever repeats one causes nothing twice.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import msgspec
from aiohttp import web

from showground.capabilities import LivePost, Member
from showground.clock import Clock
from showground.errors import ShowgroundError
from showground.hookspecs import Emit
from showground.keys import InstallationId, split_installation
from showground_community.records import Comment, Flair, Post, User
from showground_community.sessions import Sessions
from showground_community.store import Store, missing, new_id

TITLE_CHARS, BODY_CHARS, COMMENT_CHARS = 300, 40_000, 10_000
DATA_BYTES, PREVIEW_BYTES = 16 * 1024, 256 * 1024


class Forum:
    def __init__(self, store: Store, sessions: Sessions, clock: Clock, emit: Emit) -> None:
        self.store = store
        self.sessions = sessions
        self.clock = clock
        self._emit = emit

    # --- the seam that the host sees ---

    async def live_post(self, post_id: str) -> LivePost | None:
        post = await self.store.post(post_id)
        if post is None or post.installation is None or post.deleted or post.removed:
            return None
        return LivePost(id=post.id, installation=post.installation, post_type=post.post_type, data=post.data)

    async def member(self, community: str, user_id: str) -> Member | None:
        user = await self.store.user(user_id)
        if user is None:
            return None
        return Member(id=user.id, name=user.name, is_moderator=await self.store.is_moderator(community, user_id))

    async def signed_in(self, request: web.Request, community: str) -> Member | None:
        user_id = self.sessions.user_of(request)
        return None if user_id is None else await self.member(community, user_id)

    # --- people ---

    async def join(self, name: str) -> User:
        """The user called *name*, made when there is none."""
        user = User(id=new_id("t2"), name=name, created_at_ms=self.clock.now_ms())
        return await self.store.add_user(user)

    async def appoint(self, community: str, user_id: str) -> None:
        """Make a user moderator of *community*. Idempotent."""
        await self.store.set_moderator(community, user_id, True)

    async def app_account(self, installation: InstallationId) -> User:
        """The account as which an app posts; its name is the app's."""
        app, _ = split_installation(installation)
        known = await self.store.user_by_name(app)
        if known is not None:
            return known
        return await self.store.add_user(
            User(id=new_id("t2"), name=app, created_at_ms=self.clock.now_ms(), is_app=True)
        )

    async def _author(self, user_id: str) -> User:
        user = await self.store.user(user_id)
        if user is None:
            raise missing(user_id)
        return user

    # --- posts ---

    async def submit_post(
        self,
        community: str,
        author_id: str,
        title: str,
        body: str = "",
        *,
        url: str = "",
        installation: InstallationId | None = None,
        post_type: str = "",
        data: bytes = b"null",
        preview: bytes = b"",
    ) -> Post:
        """Add a post and tell `PostSubmit` and `PostCreate`. Devvit sends the second after a safety delay; there is none here."""
        author = await self._author(author_id)
        _bounded("title", title, TITLE_CHARS, needed=True)
        _bounded("text", body, BODY_CHARS)
        for name, value, limit in (("post_data", data, DATA_BYTES), ("preview", preview, PREVIEW_BYTES)):
            if len(value) > limit:
                raise ShowgroundError("too_large", f"{name} has {len(value)} bytes", name, f"At most {limit}.")
        post = Post(
            id=new_id("t3"),
            community=community,
            title=title.strip(),
            author_id=author.id,
            author_name=author.name,
            created_at_ms=self.clock.now_ms(),
            body=body,
            url=url,
            installation=installation,
            post_type=post_type,
            data=data,
            preview=preview,
        )
        await self.store.add_post(post)
        told = {"post": post.to_json(), "author": person(author), "subreddit": place(community)}
        await self._tell(community, "PostSubmit", told, post.id)
        await self._tell(community, "PostCreate", told, post.id)
        return post

    async def first_live_post(self, installation: InstallationId) -> str | None:
        """The oldest of the newest 100 posts of the community that is this app's; None when it has none."""
        _, community = split_installation(installation)
        own = [p.id for p in await self.store.posts(community, 100) if p.installation == installation and not p.deleted]
        return own[-1] if own else None

    async def submit_live_post(
        self, community: str, installation: InstallationId, title: str, data: bytes = b"null", post_type: str = ""
    ) -> str:
        """An interactive post in the app's name, as an operator or a test makes one; returns its id."""
        author = await self.app_account(installation)
        post = await self.submit_post(
            community, author.id, title, installation=installation, post_type=post_type, data=data
        )
        return post.id

    async def edit_post(self, post_id: str, body: str) -> Post:
        _bounded("text", body, BODY_CHARS)
        now = self.clock.now_ms()
        before, after = await self.store.change_post(post_id, body=body, edited_at_ms=now)
        await self._tell_of_post("PostUpdate", after, f"{post_id}@{now}", previousBody=before.body)
        return after

    async def delete_post(self, post_id: str, actor_id: str, source: int) -> None:
        """*source*: 1 by its author, 3 by a moderator (devvit EventSource)."""
        before, after = await self.store.change_post(post_id, deleted=True, body="", title="[deleted]")
        if before.deleted:
            return
        now = self.clock.now_ms()
        told: dict[str, Any] = {
            "postId": post_id, "deletedAt": now, "createdAt": before.created_at_ms, "source": source, "reason": 0,
            "author": {"id": before.author_id, "name": before.author_name}, "subreddit": place(after.community),
        }  # fmt: skip
        await self._tell(after.community, "PostDelete", told, post_id)
        if source == 3:
            await self._moderated(after.community, actor_id, "removelink", post=after)

    async def set_post_flair(self, post_id: str, flair: Flair | None) -> Post:
        _, after = await self.store.change_post(post_id, flair=flair)
        await self._tell_of_post("PostFlairUpdate", after, f"{post_id}@{self.clock.now_ms()}")
        return after

    async def mark_post(self, post_id: str, mark: str, on: bool) -> Post:
        """*mark*: `nsfw` or `spoiler`."""
        before, after = await self.store.change_post(post_id, **{mark: on})
        if getattr(before, mark) != on:
            event, name = {"nsfw": ("PostNsfwUpdate", "isNsfw"), "spoiler": ("PostSpoilerUpdate", "isSpoiler")}[mark]
            await self._tell_of_post(event, after, f"{post_id}@{self.clock.now_ms()}", **{name: on})
        return after

    async def moderate(self, thing_id: str, actor_id: str, action: str) -> None:
        """*action*: approve, remove, spam, lock, unlock, sticky, unsticky; tells `ModAction` in Devvit's words."""
        fields: dict[str, Any]
        match action:
            case "approve":
                fields = {"approved": True, "removed": False}
            case "remove" | "spam":
                fields = {"removed": True, "approved": False}
            case "lock" | "unlock":
                fields = {"locked": action == "lock"}
            case "sticky" | "unsticky":
                fields = {"sticky": action == "sticky"}
            case _:
                raise ShowgroundError("invalid", f"{action!r} is not a moderation", "action")
        if thing_id.startswith("t1_"):
            if "removed" not in fields:
                raise ShowgroundError("invalid", f"comments cannot be told to {action}", "action")
            _, comment = await self.store.change_comment(post_of(thing_id), thing_id, **fields)
            await self._moderated(comment.community, actor_id, f"{action}comment", comment=comment)
        else:
            _, post = await self.store.change_post(thing_id, **fields)
            suffix = "" if action.endswith(("lock", "sticky")) else "link"
            await self._moderated(post.community, actor_id, action + suffix, post=post)

    async def report(self, thing_id: str, reason: str) -> None:
        _bounded("reason", reason, 300, needed=True)
        event_id = f"{thing_id}@{self.clock.now_ms()}"
        if thing_id.startswith("t1_"):
            known = await self.comment(thing_id)
            _, comment = await self.store.change_comment(known.post_id, thing_id, num_reports=known.num_reports + 1)
            told = {"comment": comment.to_json(), "subreddit": place(comment.community), "reason": reason}
            await self._tell(comment.community, "CommentReport", told, event_id)
        else:
            post = await self.store.post(thing_id)
            if post is None:
                raise missing(thing_id)
            _, after = await self.store.change_post(thing_id, num_reports=post.num_reports + 1)
            told = {"post": after.to_json(), "subreddit": place(after.community), "reason": reason}
            await self._tell(after.community, "PostReport", told, event_id)

    # --- comments ---

    async def comment(self, comment_id: str) -> Comment:
        found = await self.store.comment(post_of(comment_id), comment_id)
        if found is None:
            raise missing(comment_id)
        return found

    async def submit_comment(self, parent_id: str, author_id: str, body: str) -> Comment:
        """Answer a post or a comment; refused on a locked post (`forbidden`)."""
        author = await self._author(author_id)
        _bounded("text", body, COMMENT_CHARS, needed=True)
        post_id = parent_id if parent_id.startswith("t3_") else post_of(parent_id)
        post = await self.store.post(post_id)
        if post is None or post.deleted:
            raise missing(post_id)
        if post.locked:
            raise ShowgroundError("forbidden", f"{post_id} is locked", "reddit", "A moderator may unlock it.")
        comment = Comment(
            id=f"t1_{post_id.removeprefix('t3_')}_{new_id('c')[2:]}",
            post_id=post_id,
            parent_id=parent_id,
            community=post.community,
            body=body,
            author_id=author.id,
            author_name=author.name,
            created_at_ms=self.clock.now_ms(),
        )
        await self.store.add_comment(comment)
        told = {
            "comment": comment.to_json(), "author": person(author), "post": post.to_json(), "subreddit": place(post.community),
        }  # fmt: skip
        await self._tell(post.community, "CommentSubmit", told, comment.id)
        await self._tell(post.community, "CommentCreate", told, comment.id)
        return comment

    async def edit_comment(self, comment_id: str, body: str) -> Comment:
        _bounded("text", body, COMMENT_CHARS, needed=True)
        now = self.clock.now_ms()
        before, after = await self.store.change_comment(post_of(comment_id), comment_id, body=body, edited_at_ms=now)
        post = await self.store.post(after.post_id)
        told: dict[str, Any] = {
            "comment": after.to_json(), "author": {"id": after.author_id, "name": after.author_name},
            "post": post.to_json() if post else {"id": after.post_id}, "subreddit": place(after.community),
            "previousBody": before.body,
        }  # fmt: skip
        await self._tell(after.community, "CommentUpdate", told, f"{comment_id}@{now}")
        return after

    async def delete_comment(self, comment_id: str, actor_id: str, source: int) -> None:
        before, after = await self.store.change_comment(post_of(comment_id), comment_id, deleted=True, body="[deleted]")
        if before.deleted:
            return
        told: dict[str, Any] = {
            "commentId": comment_id, "postId": after.post_id, "parentId": after.parent_id, "deletedAt": self.clock.now_ms(),
            "createdAt": before.created_at_ms, "source": source, "reason": 0,
            "author": {"id": before.author_id, "name": before.author_name}, "subreddit": place(after.community),
        }  # fmt: skip
        await self._tell(after.community, "CommentDelete", told, comment_id)
        if source == 3:
            await self._moderated(after.community, actor_id, "removecomment", comment=after)

    # --- telling ---

    async def _tell_of_post(self, event: str, post: Post, event_id: str, **more: Any) -> None:
        told = {
            "post": post.to_json(), "author": {"id": post.author_id, "name": post.author_name},
            "subreddit": place(post.community), **more,
        }  # fmt: skip
        await self._tell(post.community, event, told, event_id)

    async def _moderated(
        self, community: str, actor_id: str, action: str, post: Post | None = None, comment: Comment | None = None
    ) -> None:
        now = self.clock.now_ms()
        moderator = await self.store.user(actor_id)
        thing = post or comment
        told: dict[str, Any] = {
            "action": action, "actionedAt": now, "subreddit": place(community),
            "moderator": person(moderator) if moderator else {"id": actor_id},
        }  # fmt: skip
        if thing is not None:
            told["targetUser"] = {"id": thing.author_id, "name": thing.author_name}
        if post is not None:
            told["targetPost"] = post.to_json()
        if comment is not None:
            told["targetComment"] = comment.to_json()
        await self._tell(community, "ModAction", told, f"{thing.id if thing else ''}@{now}")

    async def _tell(self, community: str, event: str, data: Mapping[str, Any], event_id: str) -> None:
        await self._emit(community, event, data, id=f"{event}/{event_id}")


def post_of(comment_id: str) -> str:
    """The post that a comment id belongs to: `t1_<post>_<own>`."""
    kind, _, rest = comment_id.partition("_")
    post, _, own = rest.rpartition("_")
    if kind != "t1" or not post or not own:
        raise missing(comment_id)
    return f"t3_{post}"


def person(user: User) -> dict[str, object]:
    told: dict[str, object] = msgspec.to_builtins(user)
    return told


def place(community: str) -> dict[str, object]:
    return {"id": community, "name": community, "permalink": f"/c/{community}"}


def _bounded(name: str, text: str, limit: int, needed: bool = False) -> None:
    if needed and not text.strip():
        raise ShowgroundError("invalid", f"{name} is empty", name, "Write something.")
    if len(text) > limit:
        raise ShowgroundError("too_large", f"{name} has {len(text)} characters", name, f"At most {limit}.")
