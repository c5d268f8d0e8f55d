"""An app's keys inside of the deployment's: the prefix goes on on the way in and comes off on the way out."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

from showground.capabilities import Argument, KeyValueReply
from showground.errors import ShowgroundError
from showground.keys import InstallationId, KeySpace
from showground.redis.api import CommandRefused, Reply
from showground_redis_kv.commands import Command, checked, invalid

COUNTERS = frozenset({"INCR", "DECR", "INCRBY", "DECRBY", "HINCRBY"})
"""Commands whose reply may be beyond 2^53, where the quota's script gives it as text."""
_GLOB = re.compile(r"([\\*?\[\]])")


class Prepared(NamedTuple):
    """One command, checked and in full: what goes to Redis. (A frozen dataclass takes five times as long to make.)"""

    command: Command
    words: list[bytes]
    keys: tuple[bytes, ...]


@dataclass(frozen=True, slots=True)
class Scope:
    """The keys of one installation, or of an app over all communities (`app:*`). All of one slot."""

    name: str
    prefix: bytes
    counter: str
    """The key that holds how many bytes the scope uses."""

    @classmethod
    def of(cls, keys: KeySpace, name: str) -> Scope:
        owner = InstallationId(name)
        return cls(name, keys.of(owner, "kv", "").encode(), keys.of(owner, "kv-used"))

    @property
    def pattern(self) -> str:
        """The glob of every key of the scope."""
        return _GLOB.sub(r"\\\1", self.prefix.decode()) + "*"

    def prepare(self, words: Sequence[Argument]) -> Prepared:
        """Check a command and put the prefix before each of its keys."""
        command, encoded = checked(words)
        if command.name == "SCAN":
            return Prepared(command, self._scan(encoded), ())
        positions = command.keys(words)
        for at in positions:
            encoded[at] = self.prefix + encoded[at]
        return Prepared(command, encoded, tuple([encoded[at] for at in positions]))

    def prepare_read(self, words: Sequence[Argument]) -> list[bytes] | None:
        """What goes to Redis for a command that reads one key, as most do, and whose reply has no keys in it; None for others."""
        command, encoded = checked(words)
        if command.writes or not command.has_one_key:
            return None
        encoded[1] = self.prefix + encoded[1]
        return encoded

    def _scan(self, words: list[bytes]) -> list[bytes]:
        """`SCAN cursor [MATCH glob] [COUNT n] [TYPE t]`, kept within the scope."""
        options = dict(zip((w.upper() for w in words[2::2]), words[3::2], strict=False))
        if len(words) % 2 or not words[1].isdigit() or options.keys() - {b"MATCH", b"COUNT", b"TYPE"}:
            raise invalid("write SCAN cursor [MATCH glob] [COUNT n] [TYPE type]")
        own = _GLOB.sub(r"\\\1", self.prefix.decode()).encode()
        scan = [b"SCAN", words[1], b"MATCH", own + options.get(b"MATCH", b"*")]
        scan += [b"COUNT", options.get(b"COUNT", b"1000")]
        return [*scan, b"TYPE", options[b"TYPE"]] if b"TYPE" in options else scan

    def reply(self, command: Command, reply: Reply) -> KeyValueReply:
        """What the app gets: text where it is text, without the prefix where keys come back."""
        if command.name == "SCAN":
            cursor, names = reply
            return [text(cursor), [text(name.removeprefix(self.prefix)) for name in names]]
        if command.after and reply:
            return [[text(name.removeprefix(self.prefix)), text(entries)] for name, entries in reply]
        if command.name in COUNTERS and isinstance(reply, bytes):
            return int(reply)
        return text(reply)


def text(reply: Reply) -> KeyValueReply:
    """Bytes as text, all through the reply; bytes that are not UTF-8 stay bytes."""
    if isinstance(reply, bytes):
        try:
            return reply.decode()
        except UnicodeDecodeError:
            return reply
    if isinstance(reply, list):
        return [text(item) for item in reply]
    return reply  # type: ignore[no-any-return]


def refused(message: str) -> ShowgroundError:
    """A Redis error reply as the app sees it."""
    if message.startswith("WRONGTYPE"):
        return ShowgroundError("wrong_type", "the key holds another type of value than the command works on", "redis")
    if CommandRefused(message).is_temporary or message.startswith("NOSCRIPT"):
        # NOSCRIPT: another host loaded the script between two of these commands, and the later one was done already
        return ShowgroundError("store_unavailable", f"Redis cannot do it now: {message}", "redis")
    return ShowgroundError("invalid", message.removeprefix("ERR "), "redis")
