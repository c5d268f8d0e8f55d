"""Posts, comments and people in Redis.

A post and its comments, and a community's index and moderators, each live on one slot. Records are JSON, so that an operator can
read them. Nothing here expires: it is the forum.
"""

from __future__ import annotations

import secrets
from collections.abc import Sequence
from typing import Any, TypeVar

import msgspec

from showground.errors import ShowgroundError
from showground.keys import InstallationId, KeySpace
from showground.redis.api import Redis, Script
from showground_community.records import Comment, Flair, Post, User

PERMANENT = ("thread", "thread:*", "forum:*", "forum-users", "forum-names", "forum-communities")

PAGE = 100
COMMENTS_PER_POST = 5000

_decode_post = msgspec.json.Decoder(Post).decode
_decode_comment = msgspec.json.Decoder(Comment).decode
_decode_user = msgspec.json.Decoder(User).decode
_encode = msgspec.json.Encoder().encode

_ADD_COMMENT = Script("""
local post = redis.call('GET', KEYS[1])
if not post then return -1 end
if redis.call('HLEN', KEYS[2]) >= tonumber(ARGV[3]) then return -2 end
redis.call('HSET', KEYS[2], ARGV[1], ARGV[2])
return redis.call('HLEN', KEYS[2])
""")
_CHANGE = Script("""
local now = KEYS[2] and redis.call('HGET', KEYS[2], ARGV[3]) or (not KEYS[2] and redis.call('GET', KEYS[1]))
if now ~= ARGV[1] then return 0 end
if KEYS[2] then redis.call('HSET', KEYS[2], ARGV[3], ARGV[2]) else redis.call('SET', KEYS[1], ARGV[2]) end
return 1
""")

Kept = TypeVar("Kept", Post, Comment)


def new_id(kind: str) -> str:
    """`t3_…` of 60 random bits: not guessable, and no counter for all hosts to share."""
    return f"{kind}_{int.from_bytes(secrets.token_bytes(8)) >> 4:x}"


class Store:
    def __init__(self, redis: Redis, keys: KeySpace) -> None:
        self._redis = redis
        self._keys = keys

    def _thread(self, post_id: str, *parts: str) -> str:
        return self._keys.of(InstallationId(f"~{post_id}"), "thread", *parts)

    def _forum(self, community: str, *parts: str) -> str:
        return self._keys.of(InstallationId(f"~{community}"), "forum", *parts)

    async def communities(self) -> list[str]:
        """Those that have or had a post, by name."""
        return sorted(
            name.decode() for name in await self._redis.call("SMEMBERS", self._keys.host("forum-communities"))
        )

    # --- posts ---

    async def add_post(self, post: Post) -> None:
        """The record first, then the index: a crash between them leaves a post that only its link finds."""
        await self._redis.call("SET", self._thread(post.id), _encode(post))
        await self._redis.call("ZADD", self._forum(post.community, "posts"), post.created_at_ms, post.id)
        await self._redis.call("SADD", self._keys.host("forum-communities"), post.community)

    async def post(self, post_id: str) -> Post | None:
        raw = await self._redis.call("GET", self._thread(post_id))
        if raw is None:
            return None
        count = int(await self._redis.call("HLEN", self._thread(post_id, "comments")))
        return msgspec.structs.replace(_decode_post(raw), num_comments=count)

    async def posts(self, community: str, limit: int = 25, before_ms: int | None = None) -> list[Post]:
        """Newest first, deleted and removed ones too; the caller decides what to show."""
        highest = f"({before_ms}" if before_ms is not None else "+inf"
        found = await self._redis.call(
            "ZREVRANGEBYSCORE", self._forum(community, "posts"), highest, "-inf", "LIMIT", 0, min(limit, PAGE)
        )
        raws = await self._redis.pipeline([("GET", self._thread(i.decode())) for i in found])
        counts = await self._redis.pipeline([("HLEN", self._thread(i.decode(), "comments")) for i in found])
        return [
            msgspec.structs.replace(_decode_post(raw), num_comments=int(count))
            for raw, count in zip(raws, counts, strict=True)
            if isinstance(raw, bytes)
        ]

    async def change_post(self, post_id: str, **fields: Any) -> tuple[Post, Post]:
        """Change fields atomically; (before, after). Raises `not_found`."""
        return await self._change(
            [self._thread(post_id)], ["GET", self._thread(post_id)], _decode_post, post_id, fields
        )

    # --- comments ---

    async def add_comment(self, comment: Comment) -> None:
        """Raises `not_found` without its post, `quota_exceeded` at 5,000 comments."""
        thread = self._thread(comment.post_id)
        reply = await self._redis.run(
            _ADD_COMMENT,
            [thread, self._thread(comment.post_id, "comments")],
            [comment.id, _encode(comment), COMMENTS_PER_POST],
        )
        if reply == -1:
            raise missing(comment.post_id)
        if reply == -2:
            raise ShowgroundError(
                "quota_exceeded", f"{comment.post_id} has {COMMENTS_PER_POST} comments", "reddit", "Open a new post."
            )

    async def comments(self, post_id: str) -> list[Comment]:
        """Oldest first."""
        raws: Sequence[bytes] = await self._redis.call("HVALS", self._thread(post_id, "comments"))
        return sorted((_decode_comment(raw) for raw in raws), key=lambda c: (c.created_at_ms, c.id))

    async def comment(self, post_id: str, comment_id: str) -> Comment | None:
        raw = await self._redis.call("HGET", self._thread(post_id, "comments"), comment_id)
        return None if raw is None else _decode_comment(raw)

    async def change_comment(self, post_id: str, comment_id: str, **fields: Any) -> tuple[Comment, Comment]:
        key = self._thread(post_id, "comments")
        return await self._change(
            [self._thread(post_id), key], ["HGET", key, comment_id], _decode_comment, comment_id, fields
        )

    async def _change(
        self, keys: Sequence[str], read: Sequence[str], decode: Any, thing_id: str, fields: dict[str, Any]
    ) -> tuple[Kept, Kept]:
        for _ in range(16):
            raw = await self._redis.call(*read)
            if raw is None:
                raise missing(thing_id)
            before: Kept = decode(raw)
            after = msgspec.structs.replace(before, **fields)
            if await self._redis.run(_CHANGE, keys, [raw, _encode(after), thing_id]):
                return before, after
        raise ShowgroundError("conflict", f"{thing_id} is being changed by many at once", "reddit", "Try again.")

    # --- people ---

    async def add_user(self, user: User) -> User:
        """Keep *user*; when the name is taken already, the user who has it is returned."""
        taken = await self._redis.call("HSETNX", self._keys.host("forum-names"), user.name.lower(), user.id)
        if not taken:
            known = await self.user_by_name(user.name)
            if known is not None:
                return known
            await self._redis.call("HSET", self._keys.host("forum-names"), user.name.lower(), user.id)
        await self._redis.call("HSET", self._keys.host("forum-users"), user.id, _encode(user))
        return user

    async def user(self, user_id: str) -> User | None:
        raw = await self._redis.call("HGET", self._keys.host("forum-users"), user_id)
        return None if raw is None else _decode_user(raw)

    async def user_by_name(self, name: str) -> User | None:
        user_id = await self._redis.call("HGET", self._keys.host("forum-names"), name.lower())
        return None if user_id is None else await self.user(user_id.decode())

    async def set_moderator(self, community: str, user_id: str, is_moderator: bool) -> None:
        await self._redis.call("SADD" if is_moderator else "SREM", self._forum(community, "moderators"), user_id)

    async def is_moderator(self, community: str, user_id: str) -> bool:
        return bool(await self._redis.call("SISMEMBER", self._forum(community, "moderators"), user_id))

    async def moderators(self, community: str) -> list[User]:
        """By name."""
        ids = await self._redis.call("SMEMBERS", self._forum(community, "moderators"))
        users = [await self.user(i.decode()) for i in ids]
        return sorted((u for u in users if u is not None), key=lambda u: u.name.lower())

    async def set_user_flair(self, community: str, user_id: str, flair: Flair | None) -> None:
        key = self._forum(community, "flair")
        if flair is None:
            await self._redis.call("HDEL", key, user_id)
        else:
            await self._redis.call("HSET", key, user_id, _encode(flair))

    async def user_flair(self, community: str, user_id: str) -> Flair | None:
        raw = await self._redis.call("HGET", self._forum(community, "flair"), user_id)
        return None if raw is None else msgspec.json.decode(raw, type=Flair)


def missing(thing_id: str) -> ShowgroundError:
    return ShowgroundError("not_found", f"there is no {thing_id}", "reddit", "It may have been deleted; check the id.")
