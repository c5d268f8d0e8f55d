"""Changes to installations, one at a time per installation over all hosts, none lost in the middle.

Everything lives in one hash, `sg:installations`, so that each transition is one atomic script on one slot, on a cluster too:

* `app:community` holds the record, JSON of `InstallationRecord`;
* `!lease app:community` holds `fence expiry_ms`, the right to change it. Redis' own clock decides about expiry, because
  the clocks of hosts differ;
* `!step app:community` holds the change that is under way, JSON of `Step`: the journal;
* `!revision` grows by one with each change of a record, and is published with the id that changed.

No app name starts with `!`.
"""

from __future__ import annotations

import logging
import math
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager

import msgspec

from showground.apps.records import InstallationRecord, Lease, Step
from showground.clock import Clock, SystemClock
from showground.errors import ShowgroundError
from showground.keys import InstallationId, KeySpace
from showground.redis.api import Redis, Script
from showground.tasks import Tasks

log = logging.getLogger("showground.apps.journal")

LEASE_S = 15.0
"""How long a change whose host was lost stays untouched; whoever is at work renews three times as often."""

_ACQUIRE = Script("""
local now = redis.call('TIME')
now = now[1] * 1000 + math.floor(now[2] / 1000)
local lease = redis.call('HGET', KEYS[1], '!lease ' .. ARGV[1])
if lease then
  local expiry = tonumber(string.match(lease, ' (%d+)$'))
  if expiry > now then return {0, expiry - now} end
end
if ARGV[3] == '1' and redis.call('HEXISTS', KEYS[1], '!step ' .. ARGV[1]) == 0 then return {0, 0} end
local fence = redis.call('HINCRBY', KEYS[1], '!fence', 1)
redis.call('HSET', KEYS[1], '!lease ' .. ARGV[1], string.format('%d %d', fence, now + ARGV[2]))
return {fence, redis.call('HGET', KEYS[1], '!step ' .. ARGV[1]), redis.call('HGET', KEYS[1], ARGV[1])}
""")

# ARGV: id, fence, lease ms (0: release), step ('': keep, '-': drop), record ('': keep, '-': drop), publish command,
# fence from now on (0: nobody's)
_ADVANCE = Script("""
local lease = redis.call('HGET', KEYS[1], '!lease ' .. ARGV[1])
if not lease or string.match(lease, '^(%d+)') ~= ARGV[2] then return -1 end
if ARGV[4] == '-' then redis.call('HDEL', KEYS[1], '!step ' .. ARGV[1])
elseif ARGV[4] ~= '' then redis.call('HSET', KEYS[1], '!step ' .. ARGV[1], ARGV[4]) end
local revision = 0
if ARGV[5] ~= '' then
  if ARGV[5] == '-' then redis.call('HDEL', KEYS[1], ARGV[1]) else redis.call('HSET', KEYS[1], ARGV[1], ARGV[5]) end
  revision = redis.call('HINCRBY', KEYS[1], '!revision', 1)
  redis.call(ARGV[6], KEYS[1], revision .. ' ' .. ARGV[1])
end
if tonumber(ARGV[3]) == 0 then
  redis.call('HDEL', KEYS[1], '!lease ' .. ARGV[1])
else
  local now = redis.call('TIME')
  now = now[1] * 1000 + math.floor(now[2] / 1000)
  redis.call('HSET', KEYS[1], '!lease ' .. ARGV[1], string.format('%d %d', ARGV[7], now + ARGV[3]))
end
return revision
""")

_STEP_MARK = b"!step "


class Journal:
    """Leases on installations, and the transitions that only the holder of a lease may make."""

    def __init__(self, redis: Redis, keys: KeySpace, clock: Clock | None = None, lease_s: float = LEASE_S) -> None:
        self._redis = redis
        self._clock = clock or SystemClock()
        self._lease_s = lease_s
        self._key = keys.host("installations")
        self._lease_ms = int(lease_s * 1000)
        self._encode = msgspec.json.Encoder().encode
        self._step = msgspec.json.Decoder(Step)
        self._record = msgspec.json.Decoder(InstallationRecord)

    async def acquire(self, installation: InstallationId, *, unfinished: bool = False) -> Lease:
        """Take the right to change *installation*. Raises `conflict` with `retry_after` while somebody else has it, and with
        *unfinished* also where no step is left to be finished: who only looks must not be in the way of who changes."""
        reply = await self._redis.run(_ACQUIRE, [self._key], [installation, self._lease_ms, int(unfinished)])
        if reply[0] == 0:
            raise ShowgroundError(
                "conflict",
                "another change of this installation is under way",
                installation,
                "Wait for it to end; if its host was lost, the change is taken over when its lease expires.",
                retry_after=reply[1] / 1000,
            )
        return Lease(
            id=installation,
            fence=reply[0],
            step=self._step.decode(reply[1]) if reply[1] else None,
            record=self._record.decode(reply[2]) if len(reply) > 2 and reply[2] else None,
        )

    async def advance(self, lease: Lease, step: Step, record: InstallationRecord | None = None) -> int:
        """Write the step, and the record with it where given, and renew the lease, in one atomic step.

        Returns the new revision of the installations, or 0 when no record changed. Raises `conflict` when the lease was
        taken over: then nothing was written.
        """
        return await self._write(
            lease, self._lease_ms, self._encode(step), self._encode(record) if record is not None else b""
        )

    async def remove_record(self, lease: Lease, step: Step) -> int:
        """Write the step and delete the record, in one atomic step."""
        return await self._write(lease, self._lease_ms, self._encode(step), b"-")

    @asynccontextmanager
    async def held(self, lease: Lease) -> AsyncIterator[None]:
        """Renew the lease for as long as the block runs."""
        async with Tasks() as tasks:
            tasks.keep(f"journal: hold {lease.id}", lambda: self._renew(lease), self._clock.sleep)
            yield

    def holding(self, lease: Lease) -> Callable[[], Awaitable[None]]:
        """A check that *lease* is still ours, which raises `conflict` when it is not. It asks Redis, and renews the lease, only
        when the last answer is older than a third of the lease."""
        asked = -math.inf

        async def hold() -> None:
            nonlocal asked
            now = self._clock.monotonic()
            if now - asked > self._lease_s / 3:
                await self._write(lease, self._lease_ms, b"", b"")
                asked = now

        return hold

    async def _renew(self, lease: Lease) -> None:
        while True:
            await self._clock.sleep(self._lease_s / 3)
            try:
                await self._write(lease, self._lease_ms, b"", b"")
            except ShowgroundError as error:
                if error.code == "conflict":
                    return  # it was given back, or taken over: the next write of the change finds out
                log.warning("the lease on %s was not renewed: %s", lease.id, error)

    async def finish(self, lease: Lease, record: InstallationRecord | None = None, *, remove: bool = False) -> int:
        """End the step and give the lease back; the record becomes *record*, goes with *remove*, or stays."""
        change = b"-" if remove else self._encode(record) if record is not None else b""
        return await self._write(lease, 0, b"-", change)

    async def give_back(self, lease: Lease, retry_in_s: float = 0.0) -> None:
        """Release the lease and leave the step for whoever comes next, not before *retry_in_s*."""
        await self._write(lease, int(retry_in_s * 1000), b"", b"", fence=0)

    async def unfinished(self) -> list[InstallationId]:
        """Installations with a step in the journal, whether its host is at work on it or lost."""
        fields = await self._redis.call("HKEYS", self._key)
        return sorted(InstallationId(f[len(_STEP_MARK) :].decode()) for f in fields if bytes(f).startswith(_STEP_MARK))

    async def _write(self, lease: Lease, lease_ms: int, step: bytes, record: bytes, *, fence: int | None = None) -> int:
        kept = lease.fence if fence is None else fence
        revision = await self._redis.run(
            _ADVANCE,
            [self._key],
            [lease.id, lease.fence, lease_ms, step, record, self._redis.publish_command, kept],
        )
        if revision < 0:
            raise ShowgroundError(
                "conflict",
                "another host took this change over, because this one was too slow",
                lease.id,
                "Look at the installation again before you repeat the change.",
            )
        return int(revision)
