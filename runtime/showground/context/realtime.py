"""`context.realtime`, as an app sees it."""

from __future__ import annotations

import msgspec

from showground.context.call import Call
from showground.errors import ShowgroundError

MESSAGE_BYTES = 1024 * 1024
"""Largest JSON payload of one message (the Realtime page of Devvit: 1 MB). An operator may have set a lower limit."""


class Realtime:
    """Publishes to the installation's channels."""

    def __init__(self, call: Call) -> None:
        self._call = call

    async def send(self, name: str, data: object) -> str:
        """Send *data* (whatever JSON can say) to every subscriber of the channel *name*; returns its position in the channel.

        *name* is bare, or in full `app:community:name` of the own installation. Subscribers get messages of one channel
        in the order of their positions. Raises `too_large` (over 1 MB; nothing was sent), `rate_limited` (over 100 messages
        a second; `retry_after` says when to come back), `quota_exceeded` (a sixth channel), `invalid`, `forbidden`.
        """
        try:
            payload = msgspec.json.encode(data)
        except (TypeError, ValueError, RecursionError) as error:
            raise ShowgroundError(
                "invalid", f"the message cannot be written as JSON: {error}", "realtime.send"
            ) from None
        if len(payload) > MESSAGE_BYTES:
            raise ShowgroundError(
                "too_large",
                f"the message has {len(payload)} bytes as JSON; the limit is {MESSAGE_BYTES}; it was not sent",
                "realtime.send",
                "Keep the data in Redis and send only what changed.",
            )
        return str(await self._call("realtime", "send", name, payload))


RealtimeClient = Realtime
"""The name for who writes `use_channel` and its like, where `Realtime` would be mistaken for the capability."""
