"""Showground: a function runtime with a plugin host for live community apps.

What an app author imports. Names are resolved at their first use, so that `import showground` costs a worker next to nothing.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from showground.author.devvit import Devvit
    from showground.author.records import (
        CustomPostType,
        Form,
        MenuItem,
        SchedulerJob,
        SettingField,
        SettingGroup,
        Trigger,
    )
    from showground.context.context import Context
    from showground.context.event import Event
    from showground.errors import ShowgroundError
    from showground.hookspecs import hookimpl
    from showground.ui.hooks import (
        ChannelStatus,
        use_async,
        use_channel,
        use_form,
        use_interval,
        use_pagination,
        use_state,
        use_web_view,
    )

_HOOKS = (
    "ChannelStatus",
    "use_async",
    "use_channel",
    "use_form",
    "use_interval",
    "use_pagination",
    "use_state",
    "use_web_view",
)
_RECORDS = ("CustomPostType", "Form", "MenuItem", "SchedulerJob", "SettingField", "SettingGroup", "Trigger")
_PLACES = {
    "Context": "showground.context.context",
    "Devvit": "showground.author.devvit",
    "Event": "showground.context.event",
    "ShowgroundError": "showground.errors",
    "hookimpl": "showground.hookspecs",
    **dict.fromkeys(_RECORDS, "showground.author.records"),
    **dict.fromkeys(_HOOKS, "showground.ui.hooks"),
}

__all__ = [
    "ChannelStatus",
    "Context",
    "CustomPostType",
    "Devvit",
    "Event",
    "Form",
    "MenuItem",
    "SchedulerJob",
    "SettingField",
    "SettingGroup",
    "ShowgroundError",
    "Trigger",
    "hookimpl",
    "use_async",
    "use_channel",
    "use_form",
    "use_interval",
    "use_pagination",
    "use_state",
    "use_web_view",
]


def __getattr__(name: str) -> Any:
    try:
        place = _PLACES[name]
    except KeyError:
        raise AttributeError(f"showground has no {name!r}") from None
    value = globals()[name] = getattr(importlib.import_module(place), name)
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *_PLACES})
