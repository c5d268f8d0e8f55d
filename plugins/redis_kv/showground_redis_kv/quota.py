"""How many bytes a scope uses, kept in step with every write by the script that does the write.

A key costs what `MEMORY USAGE` says (an estimate for large collections: Redis samples five elements; the same key always gets
the same estimate, so what is added when it grows is taken away when it goes). Keys that expire are not seen to go: the
counter can be too high, never too low, and it is counted afresh before a write is refused.
"""

from __future__ import annotations

from collections.abc import Sequence

from showground.errors import ShowgroundError
from showground.redis.api import Arg, Script
from showground_redis_kv.commands import growth
from showground_redis_kv.scope import Prepared, Scope

QUOTA_BYTES = 500 * 1024 * 1024
"""The Redis page of Devvit: 500 MB per installation."""

WRITE = Script(
    """
-- KEYS: the counter, then every key, each once. ARGV: quota, bytes needed at most, whether existing keys are copied,
-- number of commands; then of each command the number of its words, and its words.
local function weigh()
  local sum = 0
  for i = 2, #KEYS do sum = sum + (redis.call('MEMORY', 'USAGE', KEYS[i]) or 0) end
  return sum
end
local used = tonumber(redis.call('GET', KEYS[1]) or '0')
local before = weigh()
local need = tonumber(ARGV[2])
if ARGV[3] == '1' then need = need + before end
if need > 0 and used + need > tonumber(ARGV[1]) then
  return redis.error_reply('QUOTA ' .. string.format('%d', used))
end
local replies, at = {}, 5
for n = 1, tonumber(ARGV[4]) do
  local size = tonumber(ARGV[at])
  local reply = redis.pcall(unpack(ARGV, at + 1, at + size))
  if type(reply) == 'number' and (reply >= 2^53 or reply <= -2^53) then
    -- Lua's numbers are doubles: read the counter back as text, which is exact.
    local name = ARGV[at + 1]
    if name == 'HINCRBY' then reply = redis.call('HGET', ARGV[at + 2], ARGV[at + 3])
    else reply = redis.call('GET', ARGV[at + 2]) end
  end
  replies[n] = reply
  at = at + size + 1
end
local change = weigh() - before
if change ~= 0 then
  used = used + change
  if used > 0 then redis.call('SET', KEYS[1], string.format('%d', used)) else redis.call('DEL', KEYS[1]) end
end
return replies
"""
)

CORRECT = Script(
    """
-- Set the counter to what was counted, plus what writes have changed since the counting began.
local used = tonumber(redis.call('GET', KEYS[1]) or '0') - tonumber(ARGV[1]) + tonumber(ARGV[2])
if used > 0 then redis.call('SET', KEYS[1], string.format('%d', used)) else redis.call('DEL', KEYS[1]) end
return used
"""
)


def write_arguments(scope: Scope, quota: int, commands: Sequence[Prepared]) -> list[Arg]:
    """What follows `EVALSHA <sha>` to run *commands* together under the quota: number of keys, keys, arguments."""
    keys = list(dict.fromkeys(key for prepared in commands for key in prepared.keys))
    need = sum(growth(prepared.command, prepared.words) for prepared in commands)
    copies = any(prepared.command.growth == "copies" for prepared in commands)
    arguments: list[Arg] = [len(keys) + 1, scope.counter, *keys, quota, need, int(copies), len(commands)]
    for prepared in commands:
        arguments.append(len(prepared.words))
        arguments += prepared.words
    return arguments


def over_quota(scope: Scope, quota: int) -> ShowgroundError:
    return ShowgroundError(
        "quota_exceeded",
        f"{scope.name} has used up its {quota} bytes of Redis; nothing was written",
        "redis",
        "Delete keys, or give them an expiry.",
    )
