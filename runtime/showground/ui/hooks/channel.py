"""`use_channel`: a live post subscribes and sends to a realtime channel of its installation."""

from __future__ import annotations

from collections.abc import Callable
from enum import IntEnum
from typing import Any

import msgspec

from showground.errors import ShowgroundError
from showground.keys import CHANNEL_NAME
from showground.ui.calls import call
from showground.ui.events import Event
from showground.ui.run import Run, current, rendering

PREFIX = "channel:"
MAX_CHANNELS = 5
"""Per installation, so no post can want more (Devvit's quota)."""

_json = msgspec.json.Decoder()


class ChannelStatus(IntEnum):
    """Subscribed and connected: CONNECTED; only subscribed: CONNECTING, also after a loss; only connected: DISCONNECTING."""

    UNKNOWN = 0
    CONNECTING = 1
    CONNECTED = 2
    DISCONNECTING = 3
    DISCONNECTED = 4


class Channel:
    """State: `[subscribed, connected]`."""

    __slots__ = ("_on_message", "_on_subscribed", "_on_unsubscribed", "id", "name")

    def __init__(
        self,
        name: str,
        on_message: Callable[[Any], Any] | None,
        on_subscribed: Callable[[], Any] | None,
        on_unsubscribed: Callable[[], Any] | None,
    ) -> None:
        self.id = PREFIX + name
        self.name = name
        self._on_message = on_message
        self._on_subscribed = on_subscribed
        self._on_unsubscribed = on_unsubscribed

    @property
    def status(self) -> ChannelStatus:
        """As of now, not as of the render."""
        subscribed, connected = current("Channel.status").state.get(self.id, (False, False))
        if subscribed:
            return ChannelStatus.CONNECTED if connected else ChannelStatus.CONNECTING
        return ChannelStatus.DISCONNECTING if connected else ChannelStatus.DISCONNECTED

    def subscribe(self) -> None:
        """Want the channel's messages. Harmless when repeated; may be called while rendering."""
        self._want(True)

    def unsubscribe(self) -> None:
        """Want them no longer. `on_unsubscribed` is for losses, so it is not called."""
        self._want(False)

    def _want(self, subscribed: bool) -> None:
        run = current("Channel.subscribe")
        was = run.state.get(self.id)
        if was is not None and was[0] is not subscribed:
            run.state[self.id] = [subscribed, was[1]]

    async def send(self, data: Any) -> None:
        """Publish JSON to everybody who is subscribed, this viewer included. Returns once it has its position in the channel.

        Errors: `not_connected` (nothing was sent), and those of `context.realtime.send`.
        """
        run = current("Channel.send")
        if self.status is not ChannelStatus.CONNECTED:
            raise ShowgroundError(
                "not_connected",
                f'useChannel send failed; "{self.name}" channel not connected',
                remedy="Write what must last to Redis first; draw the button disabled until the status is CONNECTED.",
            )
        await run.member("realtime").send(self.name, data)

    async def handle(self, run: Run, event: Event) -> None:
        subscribed, connected = run.state.get(self.id, (False, False))
        if not subscribed:
            return
        if event.type == "message":
            if self._on_message is not None:
                await call(self._on_message, _json.decode(event.data or b"null"))
        elif event.connected is not connected or event.connected:
            run.state[self.id] = [True, event.connected]
            callback = self._on_subscribed if event.connected else self._on_unsubscribed
            if callback is not None:
                await call(callback)


def use_channel(
    *,
    name: str,
    on_message: Callable[[Any], Any] | None = None,
    on_subscribed: Callable[[], Any] | None = None,
    on_unsubscribed: Callable[[], Any] | None = None,
) -> Channel:
    """A channel of this installation; messages come once `subscribe()` was called. Callbacks are plain or async and are awaited.

    Messages of one channel come in order. After a loss that history could bridge, the missed ones come before
    `on_subscribed` is called again.
    """
    run, render = rendering("use_channel")
    if not isinstance(name, str) or not CHANNEL_NAME.fullmatch(name):
        raise run.fault(
            f"{render.component}: {name!r} is not a channel name", "Use letters, digits and _, at most 64 of them."
        )
    channel = Channel(name, on_message, on_subscribed, on_unsubscribed)
    if render.has(channel.id):
        raise run.fault(
            f'useChannel channel names must be unique; "{name}" duplicated', "Call use_channel once and pass it on."
        )
    if channel.id not in run.state:
        if sum(hook.startswith(PREFIX) for hook in run.state) >= MAX_CHANNELS:
            raise run.fault(
                f"the post uses more than {MAX_CHANNELS} channels", "Send several kinds of message on one channel."
            )
        run.state[channel.id] = [False, False]
    render.add(channel)
    return channel
