"""What every client does alike with its own way of sending commands."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Awaitable, Sequence

from showground.redis.api import Arg, CommandRefused, Reply, Script
from showground.redis.connection import checked
from showground.soon import OnEnd


class Commands(ABC):
    """Pipelines and scripts of `showground.redis.api.Redis`."""

    @abstractmethod
    async def call(self, *command: Arg) -> Reply:
        """As `Redis.call`."""

    @abstractmethod
    def _send(self, commands: Sequence[Sequence[Arg]]) -> Awaitable[list[Reply]]:
        """A reply for each of *commands*, in their order; refusals are among them."""

    def ask(self, command: Sequence[Arg], on_end: OnEnd) -> bool:
        """As `Redis.ask`."""
        return False

    @property
    @abstractmethod
    def publish_command(self) -> str:
        """As `Redis.publish_command`."""

    async def publish(self, channel: str, payload: bytes) -> None:
        await self.call(self.publish_command, channel, payload)

    async def pipeline(self, commands: Sequence[Sequence[Arg]]) -> list[Reply]:
        if not commands:
            return []
        replies = await self._send(commands)
        for reply in replies:
            if type(reply) is CommandRefused:
                checked(reply)
        return replies

    async def run(self, script: Script, keys: Sequence[str], args: Sequence[Arg] = ()) -> Reply:
        try:
            return await self.call("EVALSHA", script.sha, len(keys), *keys, *args)
        except CommandRefused as refused:
            if not str(refused).startswith("NOSCRIPT"):
                raise
        return await self.call("EVAL", script.source, len(keys), *keys, *args)
