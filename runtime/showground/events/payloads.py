"""JSON Schemas of the payloads of the built-in events.

The events and their fields are Devvit's (`@devvit/protos` 0.11.19: events.proto, postv2, commentv2, userv2, subredditv2), in
their JSON spelling. Further fields are allowed everywhere, because Reddit adds some; a field of a wrong type is refused, since
a handler would stumble over it. What an event is about is required, with its id. Everything else may be absent or null:
Devvit's nested objects are snapshots that "may be absent or redacted" (Devvit docs, Triggers).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

Schema = Mapping[str, Any]

DIALECT = "https://json-schema.org/draft/2020-12/schema"

_STRING: Schema = {"type": ["string", "null"]}
_FLAG: Schema = {"type": ["boolean", "null"]}
_COUNT: Schema = {"type": ["integer", "null"]}
_NUMBER: Schema = {"type": ["number", "null"]}
_STRINGS: Schema = {"type": ["array", "null"], "items": {"type": "string"}}
_TIME: Schema = {"type": ["string", "number", "null"], "description": "RFC 3339, or milliseconds since 1970"}
_CODE: Schema = {"type": ["integer", "string", "null"]}
_OBJECT: Schema = {"type": ["object", "null"]}
_ID: Schema = {"type": "string", "minLength": 1}


def _fields(**groups: str) -> dict[str, Schema]:
    """Properties from words: `_fields(flag="nsfw spam", string="id title")`."""
    kinds = {
        "string": _STRING,
        "flag": _FLAG,
        "count": _COUNT,
        "number": _NUMBER,
        "strings": _STRINGS,
        "time": _TIME,
        "code": _CODE,
        "object": _OBJECT,
    }
    return {name: kinds[kind] for kind, names in groups.items() for name in names.split()}


def _record(properties: Mapping[str, Schema], *, required: Sequence[str] = (), optional: bool = True) -> Schema:
    schema: dict[str, Any] = {"type": ["object", "null"] if optional else "object", "properties": dict(properties)}
    if required:
        schema["required"] = list(required)
    return schema


_FLAIR = _record(_fields(string="text cssClass backgroundColor templateId textColor"))
_USER = _record(
    _fields(
        string="id name url iconImage description snoovatarImage", flag="isGold spam banned suspended", count="karma"
    )
    | {"flair": _FLAIR}
)
_SUBREDDIT = _record(
    _fields(string="id name permalink", flag="nsfw spam quarantined", count="subscribersCount", code="type rating")
    | {"topics": _STRINGS}
)
_POST_FIELDS = _fields(
    string="title selftext authorId subredditId url thumbnail crosspostParentId permalink",
    flag="nsfw isApproved isLocked isSpoiler isSticky spam deleted",
    count="numReports numComments",
    number="upvotes downvotes score",
    time="createdAt updatedAt",
    code="type",
    strings="mediaUrls",
    object="media",
) | {
    "id": _ID,
    "linkFlair": _FLAIR,
    "authorFlair": _FLAIR,
    "galleryImages": {"type": ["array", "null"]},
}
_COMMENT_FIELDS = _fields(
    string="parentId body author permalink postId subredditId",
    flag="spam deleted",
    count="numReports",
    number="upvotes downvotes score",
    time="createdAt lastModifiedAt",
    strings="mediaUrls",
) | {"id": _ID}
_POST = _record(_POST_FIELDS, required=["id"], optional=False)
_COMMENT = _record(_COMMENT_FIELDS, required=["id"], optional=False)
_SOME_POST = _record(_POST_FIELDS)
_SOME_COMMENT = _record(_COMMENT_FIELDS)


def _event(summary: str, required: str = "", /, **properties: Schema) -> Schema:
    return {
        "$schema": DIALECT,
        "description": summary,
        "type": "object",
        "required": required.split(),
        "properties": properties,
    }


def _about_post(summary: str, /, **more: Schema) -> Schema:
    return _event(summary, "post", post=_POST, author=_USER, subreddit=_SUBREDDIT, **more)


def _about_comment(summary: str, /, **more: Schema) -> Schema:
    return _event(summary, "comment", comment=_COMMENT, author=_USER, post=_SOME_POST, subreddit=_SUBREDDIT, **more)


_DELETION: dict[str, Schema] = {
    "deletedAt": _TIME,
    "author": _USER,
    "createdAt": _TIME,
    "source": {**_CODE, "description": "0 unknown, 1 user, 2 admin, 3 moderator"},
    "reason": {**_CODE, "description": "0 unspecified, 1 spam, 2 legal, 3 other, 4 unknown, 5 explicit content"},
    "subreddit": _SUBREDDIT,
}
_REMOVAL: dict[str, Schema] = {"removedAt": _TIME, "reason": _STRING, "author": _STRING, "subreddit": _SUBREDDIT}
_LIFE: dict[str, Schema] = {"subreddit": _SUBREDDIT, "installer": _USER}

PAYLOADS: Mapping[str, Schema] = {
    "AppInstall": _event("The app was installed here.", **_LIFE),
    "AppUninstall": _event("The app is about to be removed. Not in Devvit.", **_LIFE),
    "AppUpgrade": _event("The app was brought to another version.", **_LIFE),
    "AutomoderatorFilterComment": _event("A comment was filtered.", "comment", comment=_COMMENT, **_REMOVAL),
    "AutomoderatorFilterPost": _event("A post was filtered.", "post", post=_POST, **_REMOVAL),
    "CommentCreate": _about_comment("A comment is there, after the safety delay."),
    "CommentDelete": _event(
        "A comment was deleted.", "commentId", commentId=_ID, postId=_STRING, parentId=_STRING, **_DELETION
    ),
    "CommentReport": _event(
        "A comment was reported; by whom is not told.",
        "comment",
        comment=_COMMENT,
        subreddit=_SUBREDDIT,
        reason=_STRING,
    ),
    "CommentSubmit": _about_comment("A comment was submitted; not yet checked."),
    "CommentUpdate": _about_comment("A comment was edited.", previousBody=_STRING),
    "ModAction": _event(
        "A moderator did something.",
        action=_STRING,
        actionedAt=_TIME,
        subreddit=_SUBREDDIT,
        moderator=_USER,
        targetUser=_USER,
        targetComment=_SOME_COMMENT,
        targetPost=_SOME_POST,
    ),
    "ModMail": _event(
        "A message between members and moderators.",
        "conversationId",
        conversationId=_ID,
        messageId=_STRING,
        messageAuthor=_USER,
        messageAuthorType=_CODE,
        createdAt=_TIME,
        conversationState=_CODE,
        conversationType=_CODE,
        isAutoGenerated=_FLAG,
        conversationSubreddit=_SUBREDDIT,
        destinationSubreddit=_SUBREDDIT,
    ),
    "PostCreate": _about_post("A post is there, after the safety delay."),
    "PostDelete": _event("A post was deleted.", "postId", postId=_ID, **_DELETION),
    "PostFlairUpdate": _about_post("A post got another flair."),
    "PostNsfwUpdate": _about_post("A post was marked as not safe for work, or no longer.", isNsfw=_FLAG),
    "PostReport": _event(
        "A post was reported; by whom is not told.", "post", post=_POST, subreddit=_SUBREDDIT, reason=_STRING
    ),
    "PostSpoilerUpdate": _about_post("A post was marked as a spoiler, or no longer.", isSpoiler=_FLAG),
    "PostSubmit": _about_post("A post was submitted; not yet checked."),
    "PostUpdate": _about_post("A post was edited.", previousBody=_STRING),
}
