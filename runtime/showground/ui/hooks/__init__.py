"""The hooks of live posts. Called at the top of a render function or component; keyed by path and order, as in Devvit."""

from showground.ui.hooks.async_data import AsyncData, AsyncError, use_async
from showground.ui.hooks.channel import Channel, ChannelStatus, use_channel
from showground.ui.hooks.form import use_form
from showground.ui.hooks.interval import Interval, use_interval
from showground.ui.hooks.pagination import Pagination, use_pagination
from showground.ui.hooks.state import Setter, use_state
from showground.ui.hooks.web_view import WebView, use_web_view

__all__ = [
    "AsyncData",
    "AsyncError",
    "Channel",
    "ChannelStatus",
    "Interval",
    "Pagination",
    "Setter",
    "WebView",
    "use_async",
    "use_channel",
    "use_form",
    "use_interval",
    "use_pagination",
    "use_state",
    "use_web_view",
]
