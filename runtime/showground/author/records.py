"""What a bundle registers, as the author writes it: Devvit's registration objects with their attributes in snake_case.

They are plain data with functions in them. What is wrong with one is reported when the bundle is loaded, not when the record
is made, so that an author sees all faults at once.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

Handler = Callable[..., Any]
"""`(event, context)`, plain or `async`."""
Render = Callable[..., Any]
"""`(context)` giving a block."""
Location = Literal["post", "comment", "subreddit"]
UserType = Literal["member", "moderator", "loggedOut"]
Height = Literal["regular", "tall"]
FieldType = Literal["string", "paragraph", "number", "boolean", "select"]
Scope = Literal["installation", "app"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Trigger:
    """Call *handler* when one of *event* happens. Several triggers of one event start together."""

    event: str | Sequence[str]
    handler: Handler
    timeout_s: float | None = None
    """Seconds; None is the app's `limits.timeout_s`."""
    max_attempts: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class SchedulerJob:
    """A job that `context.scheduler.run_job(name=…)` and the manifest's `jobs` may name."""

    name: str
    handler: Handler
    timeout_s: float | None = None
    max_attempts: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class CustomPostType:
    """How the app's live posts look. An app has at most one."""

    name: str
    render: Render
    description: str = ""
    height: Height = "regular"
    """`regular` is 320 px, `tall` is 512 px."""


@dataclass(frozen=True, slots=True, kw_only=True)
class MenuItem:
    """An entry in the menu of a post, a comment or the community. The event carries `location` and `target_id`."""

    label: str
    location: Location | Sequence[Location]
    on_press: Handler
    description: str = ""
    post_filter: Literal["none", "currentApp"] = "none"
    for_user_type: UserType | Sequence[UserType] = "member"


@dataclass(frozen=True, slots=True, kw_only=True)
class Form:
    """A form for `context.ui.show_form(key)`. *form* is its description, or `fn(data)` that makes one when it is shown."""

    form: Mapping[str, Any] | Callable[..., Any]
    on_submit: Handler
    key: str = ""
    """Empty: `form.<n>` in registration order, as Devvit gives it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SettingField:
    """One setting of the app. A mapping with the same keys may stand for it."""

    name: str
    type: FieldType
    label: str = ""
    scope: Scope = "installation"
    help_text: str = ""
    placeholder: str = ""
    default_value: Any = None
    is_secret: bool = False
    options: Sequence[Any] = ()
    """Of a select: mappings with `label` and `value`, or (label, value) pairs."""
    multi_select: bool = False
    on_validate: Handler | None = None
    """`(event, context)` with `event.value` and `event.is_editing`; returns the error's text, or None."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SettingGroup:
    """Settings shown together under *label*; their names stay in the one name space of the app."""

    label: str
    fields: Sequence[SettingField | SettingGroup | Mapping[str, Any]]
    help_text: str = ""
