"""Views between two calls, in Redis, so that any host goes on where another stopped.

Whoever serves a view holds its fence, a number that grows with every claim. A write with an old fence changes nothing: a host
that froze while its viewer went elsewhere cannot put an old state back.
"""

from __future__ import annotations

from typing import Literal

from showground.keys import InstallationId, KeySpace
from showground.redis.api import Redis, Script
from showground.views.records import Snapshot, decode_snapshot, encode_snapshot

Saved = Literal["saved", "taken", "gone"]

KEPT_S = 24 * 3600
"""How long a view is kept after its last change: a laptop that slept over night finds its post as it was."""
OPENED_S = 300
"""How long a view is kept that was painted but whose browser never connected (crawlers, previews)."""

_CREATE = Script("""
redis.call('HSET', KEYS[1], 's', ARGV[1], 'f', 0)
redis.call('EXPIRE', KEYS[1], ARGV[2])
return 1
""")
_CLAIM = Script("""
local snapshot = redis.call('HGET', KEYS[1], 's')
if not snapshot then return false end
local fence = redis.call('HINCRBY', KEYS[1], 'f', 1)
redis.call('HSET', KEYS[1], 'h', ARGV[1])
redis.call('EXPIRE', KEYS[1], ARGV[2])
return {fence, snapshot}
""")
_SAVE = Script("""
local fence = redis.call('HGET', KEYS[1], 'f')
if not fence then return 'gone' end
if fence ~= ARGV[1] then return 'taken' end
redis.call('HSET', KEYS[1], 's', ARGV[2])
redis.call('EXPIRE', KEYS[1], ARGV[3])
return 'saved'
""")


class Snapshots:
    def __init__(self, redis: Redis, keys: KeySpace, host_id: str) -> None:
        self._redis = redis
        self._keys = keys
        self._host_id = host_id

    def _key(self, installation: InstallationId, view: str) -> str:
        return self._keys.of(installation, "view", view)

    async def create(self, snapshot: Snapshot) -> None:
        """Keep a view that was just painted; nobody serves it yet."""
        key = self._key(snapshot.installation, snapshot.view)
        await self._redis.run(_CREATE, [key], [encode_snapshot(snapshot), OPENED_S])

    async def load(self, installation: InstallationId, view: str) -> Snapshot | None:
        """Look without taking over."""
        reply = await self._redis.call("HGET", self._key(installation, view), "s")
        return None if reply is None else decode_snapshot(reply)

    async def claim(self, installation: InstallationId, view: str) -> tuple[int, Snapshot] | None:
        """Take the view over: (fence, snapshot), or None when there is none (any more)."""
        reply = await self._redis.run(_CLAIM, [self._key(installation, view)], [self._host_id, KEPT_S])
        return None if reply is None else (int(reply[0]), decode_snapshot(reply[1]))

    async def save(self, snapshot: Snapshot, fence: int) -> Saved:
        """Write *snapshot*, unless somebody has claimed the view since (`taken`) or it is kept no longer (`gone`)."""
        key = self._key(snapshot.installation, snapshot.view)
        reply = await self._redis.run(_SAVE, [key], [fence, encode_snapshot(snapshot), KEPT_S])
        saved: Saved = reply.decode()
        return saved

    async def server(self, installation: InstallationId, view: str) -> str | None:
        """The id of the host that serves the view."""
        reply = await self._redis.call("HGET", self._key(installation, view), "h")
        return reply.decode() if reply else None
