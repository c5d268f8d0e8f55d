"""The Lua scripts of the Redis log. Each runs on the one slot of an installation.

Data of one channel:

* `…:rt:meta:<name>`, a hash: `epoch`, `offset` (of the newest message), `run` (the Redis process that assigned it),
  `trimmed` (the newest offset that history no longer holds), `bytes` (payload bytes in history).
* `…:rt:log:<name>`, a stream: entry `<offset>-0`, field `d`.

Of the installation: `…:rt:channels`, a sorted set of names by the millisecond at which each stops counting, and `…:rt:rate`,
a list of the microseconds at which the latest messages were accepted.

Redis' clock is used throughout, because it is the one clock that all hosts share.
"""

from __future__ import annotations

from showground.redis.api import Script

_SHARED = """
local function clock()
  local t = redis.call('TIME')
  return t[1] * 1000000 + t[2]
end
local function whole(n) return string.format('%.0f', n) end
-- Which Redis process this is. A server that comes back after a power cut, or a replica that takes over, may lack the newest
-- messages that subscribers have seen. Costs about 5 us (Valkey 9.1, measured 2026-11-24).
local function run_id() return string.match(redis.call('INFO', 'server'), 'run_id:(%x+)') or '' end
local function born(meta, log, epoch)
  redis.call('DEL', log)
  redis.call('HSET', meta, 'epoch', epoch, 'offset', '0', 'run', run_id(), 'trimmed', '0', 'bytes', '0')
end
local function extend(key, ttl_ms)
  if redis.call('PTTL', key) < tonumber(ttl_ms) then redis.call('PEXPIRE', key, ttl_ms) end
end
"""

APPEND = Script(
    _SHARED
    + """
local meta, log, channels, rate, live = KEYS[1], KEYS[2], KEYS[3], KEYS[4], KEYS[5]
local name, data, epoch, publish = ARGV[1], ARGV[2], ARGV[3], ARGV[4]
local per_s, channel_limit = tonumber(ARGV[5]), tonumber(ARGV[6])
local keep_messages, keep_bytes = tonumber(ARGV[7]), tonumber(ARGV[8])
local history_ms, position_ms = ARGV[9], ARGV[10]
local now = clock()
local now_ms = math.floor(now / 1000)

-- Sliding window: the message `per_s` before this one must be a second old.
local nth = tonumber(redis.call('LINDEX', rate, -per_s))
if nth and nth > now then  -- the server's clock was set back
  redis.call('DEL', rate)
elseif nth and now - nth < 1000000 then
  return {'rate', whole(1000000 - (now - nth))}
end

redis.call('ZREMRANGEBYSCORE', channels, '-inf', now_ms)
if not redis.call('ZSCORE', channels, name) and redis.call('ZCARD', channels) >= channel_limit then
  local first = redis.call('ZRANGE', channels, 0, 0, 'WITHSCORES')
  return {'channels', whole(tonumber(first[2]) - now_ms)}
end

if redis.call('EXISTS', meta) == 0 then born(meta, log, epoch) end
local m = redis.call('HMGET', meta, 'epoch', 'offset', 'run', 'trimmed', 'bytes')
epoch = m[1]
local offset, run, trimmed, bytes = tonumber(m[2]), run_id(), tonumber(m[4]), tonumber(m[5])
if redis.call('EXISTS', log) == 0 then trimmed, bytes = offset, 0 end
-- Another server process: leap over every offset that the last one may have given out and lost, so that none is given twice.
if run ~= m[3] then offset = offset + 1000000 end
offset = offset + 1

redis.call('XADD', log, whole(offset) .. '-0', 'd', data)
local kept = redis.call('XLEN', log)
bytes = bytes + #data
while kept > keep_messages or (bytes > keep_bytes and kept > 1) do
  local oldest = redis.call('XRANGE', log, '-', '+', 'COUNT', 1)[1]
  redis.call('XDEL', log, oldest[1])
  trimmed = tonumber(string.match(oldest[1], '^(%d+)'))
  bytes = bytes - #oldest[2][2]
  kept = kept - 1
end
redis.call('PEXPIRE', log, history_ms)
redis.call('HSET', meta, 'offset', whole(offset), 'run', run, 'trimmed', whole(trimmed), 'bytes', whole(bytes))
redis.call('PEXPIRE', meta, position_ms)
redis.call('ZADD', channels, whole(now_ms + tonumber(history_ms)), name)
redis.call('PEXPIRE', channels, history_ms)
redis.call('RPUSH', rate, whole(now))
redis.call('LTRIM', rate, -per_s, -1)
redis.call('PEXPIRE', rate, 2000)
redis.call(publish, live, epoch .. '.' .. whole(offset) .. '\\n' .. data)
return {'ok', epoch, whole(offset)}
"""
)
"""KEYS meta, log, channels, rate, live; answers `ok, epoch, offset` | `rate, µs to wait` | `channels, ms to wait`.

Whatever is refused has changed nothing. XADD comes first among the growing writes: under `maxmemory` it is the one that
Redis refuses, before anything was counted or sent.
"""

READ = Script(
    _SHARED
    + """
local meta, log = KEYS[1], KEYS[2]
local fresh_epoch, ttl_ms, since_epoch, since, limit = ARGV[1], ARGV[2], ARGV[3], tonumber(ARGV[4]), tonumber(ARGV[5])
if redis.call('EXISTS', meta) == 0 then born(meta, log, fresh_epoch) end
extend(meta, ttl_ms)
local m = redis.call('HMGET', meta, 'epoch', 'offset', 'trimmed')
local epoch, offset, trimmed = m[1], tonumber(m[2]), tonumber(m[3])
if not since then
  local entries = {}
  if limit > 0 then entries = redis.call('XREVRANGE', log, '+', '-', 'COUNT', limit) end
  return {epoch, whole(offset), 0, entries}
end
if since_epoch ~= epoch or since > offset then return {epoch, whole(offset), 0, {}} end
if since == offset then return {epoch, whole(offset), 1, {}} end
-- A point of this history: a message that is still there, or the one just before the oldest.
local id = whole(since) .. '-0'
local is_point = redis.call('EXISTS', log) == 1
  and (since == trimmed or #redis.call('XRANGE', log, id, id, 'COUNT', 1) == 1)
if not is_point then return {epoch, whole(offset), 0, {}} end
return {epoch, whole(offset), 1, redis.call('XRANGE', log, whole(since + 1) .. '-0', '+', 'COUNT', limit)}
"""
)
"""KEYS meta, log; answers `epoch, offset, continuous, entries` (newest first when no *since* was given)."""

NAMES = Script("local t = redis.call('TIME') return redis.call('ZRANGEBYSCORE', KEYS[1], '(' .. t[1] .. '000', '+inf')")
"""KEYS channels; the names that count now (to the second)."""
