"""The Lua scripts of `RedisStore`. All keys of one call are of one shard, so of one slot."""

from __future__ import annotations

from typing import Final

from showground.redis.api import Script

_COMMON: Final = """
local JOBS, DUE, INDEX, RATE, GONE, POKE = KEYS[1], KEYS[2], KEYS[3], KEYS[4], KEYS[5], KEYS[6]
-- fields of a record
local ID, OWNER, KIND, NAME, TIMES, GENERATION, NEXT, PAUSED, DEFINITION = 1, 2, 3, 4, 5, 6, 7, 8, 9

local function read(id)
  local raw = redis.call('HGET', JOBS, id)
  return raw and cmsgpack.unpack(raw)
end

local function write(record)
  redis.call('HSET', JOBS, record[ID], cmsgpack.pack(record))
end

local function count(index, kind, by)
  if redis.call('HINCRBY', index, '#' .. kind, by) == 0 then
    redis.call('HDEL', index, '#' .. kind)
  end
end

local function drop(record, index)
  local id = record[ID]
  redis.call('HDEL', JOBS, id)
  redis.call('ZREM', DUE, id)
  redis.call('HDEL', index, 'j:' .. id)
  if record[NAME] ~= '' and redis.call('HGET', index, record[NAME]) == id then
    redis.call('HDEL', index, record[NAME])
  end
  count(index, record[KIND], -1)
end

local function schedule(id, at, publish)
  redis.call('ZADD', DUE, at, id)
  redis.call(publish, POKE, string.format('%.0f', at))
end
"""

CREATE: Final = Script(
    _COMMON
    + """
local now, id, owner, kind, name = tonumber(ARGV[1]), ARGV[2], ARGV[3], ARGV[4], ARGV[5]
local times, first, definition = ARGV[6], tonumber(ARGV[7]), ARGV[8]
local limit, per_minute, publish = tonumber(ARGV[9]), tonumber(ARGV[10]), ARGV[11]

if redis.call('EXISTS', GONE) == 1 then
  return {'gone', ''}
end
if per_minute > 0 then
  local oldest = tonumber(redis.call('LINDEX', RATE, per_minute - 1))
  if oldest and oldest > now - 60000 then
    return {'rate', tostring(oldest + 60000 - now)}
  end
end
local old_id = name ~= '' and redis.call('HGET', INDEX, name)
local old = old_id and read(old_id)
if not old or old[KIND] ~= kind then
  local live = tonumber(redis.call('HGET', INDEX, '#' .. kind) or '0')
  if limit > 0 and live >= limit then
    return {'quota', ''}
  end
end
if per_minute > 0 then
  redis.call('LPUSH', RATE, now)
  redis.call('LTRIM', RATE, 0, per_minute - 1)
  redis.call('PEXPIRE', RATE, 60000)
end
local generation, paused = 1, 0
if old then
  id, generation, paused = old_id, old[GENERATION] + 1, old[PAUSED]
  if old[TIMES] == times and paused == 0 then
    first = old[NEXT]
  end
  count(INDEX, old[KIND], -1)
end
write({id, owner, kind, name, times, generation, first, paused, definition})
redis.call('HSET', INDEX, 'j:' .. id, '')
count(INDEX, kind, 1)
if name ~= '' then
  redis.call('HSET', INDEX, name, id)
end
if paused == 0 then
  schedule(id, first, publish)
end
return {'ok', id}
"""
)

LIST: Final = Script(
    _COMMON
    + """
local found = {}
for _, field in ipairs(redis.call('HKEYS', INDEX)) do
  if string.sub(field, 1, 2) == 'j:' then
    found[#found + 1] = redis.call('HGET', JOBS, string.sub(field, 3))
  end
end
return found
"""
)

REMOVE: Final = Script(
    _COMMON
    + """
local record = read(ARGV[1])
if not record or record[OWNER] ~= ARGV[2] then
  return 0
end
drop(record, INDEX)
return 1
"""
)

SWITCH: Final = Script(
    _COMMON
    + """
local id, at = ARGV[1], tonumber(ARGV[4])
local record = read(id)
if not record or record[OWNER] ~= ARGV[2] or record[GENERATION] ~= tonumber(ARGV[3]) then
  return 0
end
record[GENERATION] = record[GENERATION] + 1
if at < 0 then
  record[PAUSED], record[NEXT] = 1, 0
  redis.call('ZREM', DUE, id)
else
  record[PAUSED], record[NEXT] = 0, at
  schedule(id, at, ARGV[5])
end
write(record)
return 1
"""
)

KEEP_STATIC: Final = Script(
    _COMMON
    + """
redis.call('DEL', GONE)
local keep = {}
for _, name in ipairs(ARGV) do
  keep['s:' .. name] = true
end
local all = redis.call('HGETALL', INDEX)
for i = 1, #all, 2 do
  if string.sub(all[i], 1, 2) == 's:' and not keep[all[i]] then
    local record = read(all[i + 1])
    if record then
      drop(record, INDEX)
    end
  end
end
return 0
"""
)

CLEAR: Final = Script(
    _COMMON
    + """
for _, field in ipairs(redis.call('HKEYS', INDEX)) do
  if string.sub(field, 1, 2) == 'j:' then
    redis.call('HDEL', JOBS, string.sub(field, 3))
    redis.call('ZREM', DUE, string.sub(field, 3))
  end
end
redis.call('DEL', INDEX, RATE)
redis.call('SET', GONE, '', 'PX', 3600000)
return 0
"""
)

_TIME: Final = """
local function time(given)
  if given > 0 then return given end
  local t = redis.call('TIME')
  return tonumber(t[1]) * 1000 + math.floor(tonumber(t[2]) / 1000)
end
"""

NOW: Final = Script(_TIME + "return time(0)")

CLAIM: Final = Script(
    _COMMON
    + _TIME
    + """
-- Each command takes all jobs of the batch at once: a call costs Redis more than an argument does.
local now, limit, hold = time(tonumber(ARGV[1])), ARGV[2], tonumber(ARGV[3])
local ids = redis.call('ZRANGEBYSCORE', DUE, '-inf', string.format('%.0f', now), 'LIMIT', 0, limit)
local found = {now, ''}
if #ids > 0 then
  local held, lost = {}, {}
  local till = string.format('%.0f', now + hold)
  for i, raw in ipairs(redis.call('HMGET', JOBS, unpack(ids))) do
    if raw then
      held[#held + 1] = till
      held[#held + 1] = ids[i]
      found[#found + 1] = raw
    else
      lost[#lost + 1] = ids[i]
    end
  end
  if #held > 0 then
    redis.call('ZADD', DUE, unpack(held))
  end
  if #lost > 0 then
    redis.call('ZREM', DUE, unpack(lost))
  end
end
local first = redis.call('ZRANGE', DUE, 0, 0, 'WITHSCORES')
if first[2] then
  found[2] = first[2]
end
return found
"""
)

SETTLE: Final = Script(
    _COMMON
    + """
-- KEYS: those of the shard, then the index of each installation
-- ARGV: msgpack of { {which index, id, generation, expected slot, next slot or -1, when to look}, ... }
local moves = cmsgpack.unpack(ARGV[1])
local ids, kept, due, gone, fields, ended = {}, {}, {}, {}, {}, {}
for i, move in ipairs(moves) do
  ids[i] = move[2]
end
local raws = redis.call('HMGET', JOBS, unpack(ids))
for i, move in ipairs(moves) do
  local record = raws[i] and cmsgpack.unpack(raws[i])
  if record and record[GENERATION] == move[3] and record[NEXT] == move[4] and record[PAUSED] == 0 then
    local id, following = move[2], move[5]
    if following < 0 then
      local index = KEYS[2 + move[1]]
      gone[#gone + 1] = id
      fields[index] = fields[index] or {}
      table.insert(fields[index], 'j:' .. id)
      if record[NAME] ~= '' and redis.call('HGET', index, record[NAME]) == id then
        table.insert(fields[index], record[NAME])
      end
      ended[index] = ended[index] or {}
      ended[index][record[KIND]] = (ended[index][record[KIND]] or 0) + 1
    else
      record[NEXT] = following
      kept[#kept + 1] = id
      kept[#kept + 1] = cmsgpack.pack(record)
      due[#due + 1] = string.format('%.0f', move[6])
      due[#due + 1] = id
    end
  end
end
if #kept > 0 then
  redis.call('HSET', JOBS, unpack(kept))
  redis.call('ZADD', DUE, unpack(due))
end
if #gone > 0 then
  redis.call('HDEL', JOBS, unpack(gone))
  redis.call('ZREM', DUE, unpack(gone))
  for index, names in pairs(fields) do
    redis.call('HDEL', index, unpack(names))
    for kind, n in pairs(ended[index]) do
      count(index, kind, -n)
    end
  end
end
return 0
"""
)
