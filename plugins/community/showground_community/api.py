"""`context.reddit` on the host's side: what an app may do in its own community, as itself or as the viewer who acts.

Every method is about the community of the invocation. A post or comment of another community is `not_found`.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import msgspec

from showground.errors import ShowgroundError
from showground.hookspecs import Method
from showground.model import AppVersion, Invocation
from showground_community.forum import Forum, person, place, post_of
from showground_community.records import Comment, Flair, Post, User
from showground_community.store import PAGE, missing

ACTS_AS = ("app", "user")


class RedditApi:
    def __init__(self, forum: Forum, invocation: Invocation, app: AppVersion) -> None:
        self._forum = forum
        self._invocation = invocation
        self._app = app

    def methods(self) -> Mapping[str, Method]:
        """Each name is what `showground.context.reddit` calls."""
        return {
            "current_user": self.current_user,
            "user_by_id": self.user_by_id,
            "user_by_name": self.user_by_name,
            "subreddit": self.subreddit,
            "moderators": self.moderators,
            "submit_post": self.submit_post,
            "post": self.post,
            "posts": self.posts,
            "edit_post": self.edit_post,
            "submit_comment": self.submit_comment,
            "comment": self.comment,
            "comments": self.comments,
            "edit_comment": self.edit_comment,
            "delete": self.delete,
            "moderate": self.moderate,
            "mark": self.mark,
            "report": self.report,
            "set_post_flair": self.set_post_flair,
            "set_user_flair": self.set_user_flair,
            "user_flair": self.user_flair,
        }

    # --- people and place ---

    async def current_user(self) -> dict[str, object] | None:
        return None if self._invocation.user_id is None else await self.user_by_id(self._invocation.user_id)

    async def user_by_id(self, user_id: str) -> dict[str, object] | None:
        return await self._person(await self._forum.store.user(user_id))

    async def user_by_name(self, name: str) -> dict[str, object] | None:
        return await self._person(await self._forum.store.user_by_name(name))

    async def _person(self, user: User | None) -> dict[str, object] | None:
        if user is None:
            return None
        community = self._invocation.community
        return {**person(user), "is_moderator": await self._forum.store.is_moderator(community, user.id)}

    async def subreddit(self) -> dict[str, object]:
        return place(self._invocation.community)

    async def moderators(self) -> list[dict[str, object]]:
        return [person(user) for user in await self._forum.store.moderators(self._invocation.community)]

    # --- posts ---

    async def submit_post(self, title: str, fields: Mapping[str, Any]) -> dict[str, object]:
        """*fields*: text, url, preview (JSON bytes of a tree), post_data (JSON bytes), run_as."""
        is_live = fields.get("preview") is not None or fields.get("post_data") is not None
        kinds = self._app.registration.post_types
        if is_live and not kinds:
            raise ShowgroundError(
                "invalid",
                "the app has no custom post type to submit",
                "submit_post",
                "Register one with `Devvit.add_custom_post_type`, or submit text.",
            )
        post = await self._forum.submit_post(
            self._invocation.community,
            await self._actor(fields.get("run_as", "app"), "SUBMIT_POST"),
            title,
            str(fields.get("text") or ""),
            url=str(fields.get("url") or ""),
            installation=self._invocation.installation if is_live else None,
            post_type=kinds[-1].name if is_live else "",
            data=fields.get("post_data") or b"null",
            preview=fields.get("preview") or b"",
        )
        return post.to_json()

    async def post(self, post_id: str) -> dict[str, object]:
        return (await self._post(post_id)).to_json()

    async def posts(self, limit: int = 25, before_ms: int | None = None) -> list[dict[str, object]]:
        if not isinstance(limit, int) or not 0 < limit <= PAGE:
            raise ShowgroundError("invalid", f"{limit!r} is not a number of posts", "limit", f"Use 1 to {PAGE}.")
        found = await self._forum.store.posts(self._invocation.community, limit, before_ms)
        return [post.to_json() for post in found if not post.deleted]

    async def edit_post(self, post_id: str, text: str) -> dict[str, object]:
        self._own(await self._post(post_id), await self._app_id())
        return (await self._forum.edit_post(post_id, text)).to_json()

    async def mark(self, post_id: str, mark: str, on: bool) -> None:
        if mark not in ("nsfw", "spoiler"):
            raise ShowgroundError("invalid", f"{mark!r} is not a mark", "mark", "Use nsfw or spoiler.")
        await self._post(post_id)
        await self._forum.mark_post(post_id, mark, on)

    async def set_post_flair(self, post_id: str, flair: Mapping[str, Any] | None) -> None:
        await self._post(post_id)
        await self._forum.set_post_flair(post_id, _flair(flair))

    # --- comments ---

    async def submit_comment(self, parent_id: str, text: str, run_as: str = "app") -> dict[str, object]:
        await self._thing(parent_id)
        actor = await self._actor(run_as, "SUBMIT_COMMENT")
        return (await self._forum.submit_comment(parent_id, actor, text)).to_json()

    async def comment(self, comment_id: str) -> dict[str, object]:
        return (await self._comment(comment_id)).to_json()

    async def comments(self, post_id: str) -> list[dict[str, object]]:
        await self._post(post_id)
        return [c.to_json() for c in await self._forum.store.comments(post_id) if not (c.deleted or c.removed)]

    async def edit_comment(self, comment_id: str, text: str) -> dict[str, object]:
        self._own(await self._comment(comment_id), await self._app_id())
        return (await self._forum.edit_comment(comment_id, text)).to_json()

    # --- both ---

    async def delete(self, thing_id: str) -> None:
        """Only what the app itself has written; of others it may `remove`."""
        app_id = await self._app_id()
        self._own(await self._thing(thing_id), app_id)
        if thing_id.startswith("t1_"):
            await self._forum.delete_comment(thing_id, app_id, source=1)
        else:
            await self._forum.delete_post(thing_id, app_id, source=1)

    async def moderate(self, thing_id: str, action: str) -> None:
        await self._thing(thing_id)
        await self._forum.moderate(thing_id, await self._app_id(), action)

    async def report(self, thing_id: str, reason: str) -> None:
        await self._thing(thing_id)
        await self._forum.report(thing_id, reason)

    async def set_user_flair(self, user_id: str, flair: Mapping[str, Any] | None) -> None:
        if await self._forum.store.user(user_id) is None:
            raise missing(user_id)
        await self._forum.store.set_user_flair(self._invocation.community, user_id, _flair(flair))

    async def user_flair(self, user_id: str) -> dict[str, object] | None:
        flair = await self._forum.store.user_flair(self._invocation.community, user_id)
        return None if flair is None else msgspec.to_builtins(flair)

    # --- inside ---

    async def _app_id(self) -> str:
        return (await self._forum.app_account(self._invocation.installation)).id

    async def _actor(self, run_as: object, scope: str) -> str:
        """As Devvit's `runAs`: `user` needs the scope in `user_actions`, and a viewer who acts."""
        if run_as not in ACTS_AS:
            raise ShowgroundError("invalid", f"{run_as!r} is nobody to act as", "run_as", "Use app or user.")
        if run_as == "app":
            return await self._app_id()
        if scope not in self._app.registration.user_scopes:
            raise ShowgroundError(
                "not_configured",
                f"the app may not act as its users ({scope})",
                "run_as",
                f'Configure it: `Devvit.configure(user_actions={{"scopes": ["{scope}"]}})`.',
            )
        if self._invocation.user_id is None:
            raise ShowgroundError("forbidden", "nobody is signed in to act as", "run_as", "Offer it to members only.")
        return self._invocation.user_id

    async def _post(self, post_id: str) -> Post:
        post = await self._forum.store.post(post_id)
        if post is None or post.community != self._invocation.community or post.deleted:
            raise missing(post_id)
        return post

    async def _comment(self, comment_id: str) -> Comment:
        await self._post(post_of(comment_id))
        return await self._forum.comment(comment_id)

    async def _thing(self, thing_id: str) -> Post | Comment:
        return await (self._comment(thing_id) if thing_id.startswith("t1_") else self._post(thing_id))

    def _own(self, thing: Post | Comment, app_id: str) -> None:
        if thing.author_id != app_id:
            raise ShowgroundError(
                "forbidden", f"{thing.id} is not the app's own", "reddit", "Apps change what they wrote."
            )


def _flair(fields: Mapping[str, Any] | None) -> Flair | None:
    if fields is None:
        return None
    try:
        return msgspec.convert(fields, Flair)
    except msgspec.ValidationError as error:
        raise ShowgroundError(
            "invalid", f"not a flair: {error}", "flair", "Give text, background_color, text_color."
        ) from None
