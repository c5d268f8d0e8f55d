"""What apps can use, as protocols, and what the host lends to those who provide it.

`key_value`, `realtime`, `scheduler` and `community` are what providers offer: each has one on Redis, the first three have one in
memory, and every provider passes the conformance suite in `showground.testing.conformance`. `pages` and `deliveries` are the
host's own.

All methods may raise `ShowgroundError` `store_unavailable` (temporary) besides what they name.
"""

from contextlib import AbstractAsyncContextManager

from showground.capabilities.community import COMMUNITY, Community, LivePost, Member
from showground.capabilities.deliveries import Deliveries, Enqueued
from showground.capabilities.key_value import KEY_VALUE, Argument, KeyValue, KeyValueReply, KeyValueTransaction
from showground.capabilities.pages import PAGES, MenuEntry, Pages
from showground.capabilities.realtime import (
    REALTIME,
    Message,
    Position,
    Realtime,
    RealtimeLimits,
    Subscribed,
    Subscription,
)
from showground.capabilities.scheduler import SCHEDULER, Job, Scheduler

__all__ = [
    "COMMUNITY",
    "KEY_VALUE",
    "PAGES",
    "REALTIME",
    "SCHEDULER",
    "Argument",
    "Community",
    "Deliveries",
    "Enqueued",
    "Job",
    "KeyValue",
    "KeyValueReply",
    "KeyValueTransaction",
    "LivePost",
    "Member",
    "MenuEntry",
    "Message",
    "Pages",
    "Position",
    "Provider",
    "Realtime",
    "RealtimeLimits",
    "Scheduler",
    "Subscribed",
    "Subscription",
]

Provider = AbstractAsyncContextManager
"""What `build` returns: entered once at start, left at stop, in reverse order."""
