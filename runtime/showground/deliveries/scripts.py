"""The Lua scripts of the delivery queue: enqueueing, a host's turn, and what is asked of it. See `prelude` for the keys."""

from __future__ import annotations

from showground.deliveries.prelude import PRELUDE
from showground.redis.api import Script

ENQUEUE = Script(
    PRELUDE
    + """
-- ARGV: now, publish, backlog bound, redrive, host that shall claim where none is at it or "", msgpack of
--   { {installation, twice, ids, keys, stored, groups, overlaps, dues}, ... }
-- twice: whether an id is there twice; groups, overlaps and dues are empty where all of them are
-- returns one letter per delivery, in order: n new, d duplicate, s skipped, o overloaded, m redriven already
local bound, redrive = tonumber(ARGV[3]), ARGV[4] == '1'
local answers = {}
for _, entry in ipairs(cmsgpack.unpack(ARGV[6])) do
  local installation, ids, keys, stored, groups, overlaps, dues =
    entry[1], entry[3], entry[4], entry[5], entry[6], entry[7], entry[8]
  local out, counts = base .. ':out:' .. installation, {}
  local plain = not redrive and not entry[2] and call('EXISTS', unpack(keys)) == 0
  local room = bound - call('HLEN', out)
  if room < #ids then
    local new = 0
    for _, key in ipairs(keys) do
      if plain or redrive or call('EXISTS', key) == 0 then new = new + 1 end
    end
    if new > room then
      for _ = 1, #ids do answers[#answers + 1] = 'o' end
      ids = {}
    end
  end
  if #ids > 0 and #groups > 0 then
    for i, n in ipairs(call('HMGET', base .. ':groups:' .. installation, unpack(groups))) do
      counts[groups[i]] = tonumber(n) or 0
    end
  end
  local fresh, ready, tries, counted = {}, {}, {}, {}
  local from_now = '0 ' .. int(now)
  for i, id in ipairs(ids) do
    local key, data, group, due = keys[i], stored[i], groups[i] or '', dues[i] or 0
    local set = true
    if redrive then
      set = call('HDEL', base .. ':dead:' .. installation, id) == 1
      if set then
        call('ZREM', base .. ':deadz:' .. installation, id)
        if group ~= '' and history_marks(installation, {group})[group] == id then
          list_first(installation, group, id)
          call('HSET', histories(installation, 0), group, '')
          call('PEXPIRE', histories(installation, 0), 3 * WEEK)
        end
        call('SET', key, data)
      end
    elseif not plain then
      set = call('SET', key, data, 'NX')
    end
    if not set then
      answers[#answers + 1] = redrive and 'm' or 'd'
    else
      local before = group ~= '' and counts[group] or 0
      if before > 0 and overlaps[i] == 'skip' then
        local outcome = '1' .. cmsgpack.pack({id, 'skipped', 0, 0, now})
        call('SET', key, outcome, 'PX', WEEK)
        remember(installation, {group}, {id}, {outcome})
        answers[#answers + 1] = 's'
      else
        local n = #fresh
        if plain then fresh[n + 1], fresh[n + 2] = key, data end
        n = #tries
        tries[n + 1], tries[n + 2] = id, due > now and '0 ' .. int(due) or from_now
        if group ~= '' then
          counts[group] = before + 1
          counted[group] = true
        end
        if before > 0 and overlaps[i] == 'queue' then
          call('RPUSH', base .. ':queued:' .. installation .. '|' .. group, int(due) .. '|' .. id)
        elseif due > now then
          later(installation, id, due)
        else
          ready[#ready + 1] = id
        end
        answers[#answers + 1] = 'n'
      end
    end
  end
  if #fresh > 0 then call('MSET', unpack(fresh)) end
  each('HSET', out, tries)
  local fields = {}
  for group in pairs(counted) do
    local n = #fields
    fields[n + 1], fields[n + 2] = group, counts[group]
  end
  each('HSET', base .. ':groups:' .. installation, fields)
  if #ready > 0 then
    each('RPUSH', base .. ':ready:' .. installation, ready)
    turn(installation)
  end
end
tell(ARGV[5])
return table.concat(answers)
"""
)

TURN = Script(
    PRELUDE
    + """
-- Take the outcomes of what ended, then claim what may run.
-- ARGV: now, publish, lease, host, concurrency, want, dead letters kept, their age, msgpack of
--   { {installation, ids, keys, tokens, whats, groups, stored, delays, letters}, ... }
-- what: t ended, x dead, r again later, u again later and not counted, b given back untouched; stored: "1" and the outcome
-- returns {now, first due or -1, 1 when there is more to claim, letters dropped, refused, claims}
-- refused: which of them and which of its ids, in turn; claims: installation, {ids}, {tokens}, {stored deliveries}, in turn
local lease, host, limit, want = tonumber(ARGV[3]), ARGV[4], tonumber(ARGV[5]), tonumber(ARGV[6])
local acks = cmsgpack.unpack(ARGV[9])
local refused, dropped = {}, 0
local leases, active = base .. ':leases', base .. ':active'
local function free(installation, n)
  if call('HINCRBY', active, installation, -n) <= 0 then call('HDEL', active, installation) end
  if call('EXISTS', base .. ':ready:' .. installation) == 1 then turn(installation) end
end

for number, ended in ipairs(acks) do
  local installation, ids, keys, tokens, whats, groups, stored = unpack(ended, 1, 7)
  local out = base .. ':out:' .. installation
  local wanted
  if call('EXISTS', base .. ':wanted') == 1 then
    local names = {}
    for i, id in ipairs(ids) do names[i] = installation .. '|' .. id end
    wanted = call('SMISMEMBER', base .. ':wanted', unpack(names))
  end
  local mine, gone, again, left, leavers, outcomes = {}, {}, {}, {}, {}, {}
  for i, token in ipairs(call('HMGET', out, unpack(ids))) do
    local id, what, group = ids[i], whats[i], groups[i]
    if token ~= tokens[i] then
      refused[#refused + 1], refused[#refused + 2] = number - 1, i - 1
    else
      mine[#mine + 1] = keys[i]
      if what == 't' or what == 'x' then
        call('SET', keys[i], stored[i], 'PX', group == '' and 86400000 or WEEK)
        gone[#gone + 1] = id
        if what == 'x' then
          dropped = dropped + bury(installation, id, ended[9][i], tonumber(ARGV[7]), tonumber(ARGV[8]))
        end
        if group ~= '' then
          local n = #left + 1
          left[n], leavers[n], outcomes[n] = group, id, stored[i]
        end
      else
        local tries, since = told(token)
        again[#again + 1] = id
        again[#again + 1] = tries - (what == 'r' and 0 or 1) .. ' ' .. since
        if what == 'b' then call('LPUSH', base .. ':ready:' .. installation, id)
        else later(installation, id, now + ended[8][i]) end
      end
      if wanted and wanted[i] == 1 then
        local name = installation .. '|' .. id
        if what == 't' or what == 'x' then call('SREM', base .. ':wanted', name) end
        if #stored[i] > 1 then
          local outcome = string.sub(stored[i], 2)
          call(publish, base .. ':outcomes', what .. string.format('%05d', #name) .. name .. outcome)
        end
      end
    end
  end
  if #gone > 0 then call('HDEL', out, unpack(gone)) end
  if #again > 0 then call('HSET', out, unpack(again)) end
  if #left > 0 then
    remember(installation, left, leavers, outcomes)
    leave_groups(installation, left)
  end
  if #mine > 0 then
    call('ZREM', leases, unpack(mine))
    free(installation, #mine)
  end
end

local late = call('ZRANGEBYSCORE', leases, '-inf', int(now), 'LIMIT', 0, 200)
if #late > 0 then
  call('ZREM', leases, unpack(late))
  local lost = {}
  for _, key in ipairs(late) do
    local installation, id = split(string.sub(key, #base + 4))
    add(lost, installation, id)
  end
  for installation, ids in pairs(lost) do
    local out, again = base .. ':out:' .. installation, {}
    for i, token in ipairs(call('HMGET', out, unpack(ids))) do
      if token then
        again[#again + 1] = ids[i]
        again[#again + 1] = string.match(token, '^%d+ %d+')
      end
    end
    if #again > 0 then call('HSET', out, unpack(again)) end
    call('LPUSH', base .. ':ready:' .. installation, unpack(ids))
    free(installation, #ids)
  end
end

local due = call('ZRANGEBYSCORE', base .. ':due', '-inf', int(now), 'LIMIT', 0, 500)
if #due > 0 then
  call('ZREMRANGEBYRANK', base .. ':due', 0, #due - 1)
  local arrived = {}
  for _, name in ipairs(due) do
    local installation, id = split(name)
    add(arrived, installation, id)
  end
  for installation, ids in pairs(arrived) do
    call('RPUSH', base .. ':ready:' .. installation, unpack(ids))
    turn(installation)
  end
end

local claims = {}
while want > 0 do
  -- An equal share each, but up to eight at once, since each installation has a price of its own.
  local share = math.max(math.floor(want / math.max(1, call('ZCARD', base .. ':ring'))), math.min(8, math.ceil(want / 4)))
  local installation = call('ZPOPMIN', base .. ':ring')[1]
  if not installation then break end
  local runs = tonumber(call('HGET', active, installation) or 0)
  local n = math.min(limit - runs, share, want)
  if n > 0 then
    local ready, out = base .. ':ready:' .. installation, base .. ':out:' .. installation
    local ids = call('LPOP', ready, n) or {}
    if #ids > 0 then
      local prefix, keys = base .. ':d:' .. installation .. '|', {}
      for i, id in ipairs(ids) do keys[i] = prefix .. id end
      local tokens, stored = call('HMGET', out, unpack(ids)), call('MGET', unpack(keys))
      local fence, till = call('INCRBY', base .. ':n', #ids) - #ids, int(now + lease)
      local known, news, data, ends, marks = {}, {}, {}, {}, {}
      for i, id in ipairs(ids) do
        if tokens[i] and stored[i] then
          local tries, since = told(tokens[i])
          local token, k = tries + 1 .. ' ' .. since .. ' ' .. int(fence + i), #known + 1
          known[k], news[k], data[k] = id, token, stored[i]
          ends[2 * k - 1], ends[2 * k] = till, keys[i]
          marks[2 * k - 1], marks[2 * k] = id, token
        end
      end
      local taken = #known
      if taken > 0 then
        call('HSET', out, unpack(marks))
        call('ZADD', leases, unpack(ends))
        runs = call('HINCRBY', active, installation, taken)
        want = want - taken
        local k = #claims
        claims[k + 1], claims[k + 2], claims[k + 3], claims[k + 4] = installation, known, news, data
      end
    end
    if runs < limit and call('EXISTS', ready) == 1 then turn(installation) end
  end
end
if #claims > 0 then call('SET', base .. ':steward', host, 'PX', 2000) end

local first = call('ZRANGE', base .. ':due', 0, 0, 'WITHSCORES')
local more = call('EXISTS', base .. ':ring')
if more == 1 and #claims == 0 and call('SET', base .. ':called', '1', 'NX', 'PX', 50) then
  call(publish, base .. ':poke', '')
end
return {int(now), first[2] or '-1', more, dropped, refused, claims}
"""
)

RENEW = Script(
    PRELUDE
    + """
-- ARGV: now, publish, lease, msgpack of { {installation, ids, keys, tokens}, ... }
-- returns those that are lost: which of them and which of its ids, in turn
local lost, ends = {}, {}
for number, held in ipairs(cmsgpack.unpack(ARGV[4])) do
  local installation, ids, keys, tokens = unpack(held, 1, 4)
  for i, token in ipairs(call('HMGET', base .. ':out:' .. installation, unpack(ids))) do
    if token == tokens[i] then
      ends[#ends + 1] = int(now + tonumber(ARGV[3]))
      ends[#ends + 1] = keys[i]
    else
      lost[#lost + 1], lost[#lost + 2] = number - 1, i - 1
    end
  end
end
each('ZADD', base .. ':leases', ends, 'XX')
return lost
"""
)

WANT = Script(
    PRELUDE
    + """
-- ARGV: now, publish, msgpack of { installation|id, ... }; returns the outcome of each, or "" where it has not ended
local names = cmsgpack.unpack(ARGV[3])
local answers, waiting = {}, {}
for i, name in ipairs(names) do
  local stored = call('GET', base .. ':d:' .. name)
  if stored and string.sub(stored, 1, 1) == '1' then
    answers[i] = string.sub(stored, 2)
  else
    answers[i] = ''
    if stored then waiting[#waiting + 1] = name end
  end
end
if #waiting > 0 then
  call('SADD', base .. ':wanted', unpack(waiting))
  call('PEXPIRE', base .. ':wanted', 60000)
end
return answers
"""
)

HISTORY = Script(
    PRELUDE
    + """
-- ARGV: now, publish, installation, group, limit; returns outcomes with their "1", newest first
local installation, group = ARGV[3], ARGV[4]
local mark = history_marks(installation, {group})[group]
if not mark then return {} end
if mark == '' then return call('LRANGE', base .. ':h:' .. installation .. '|' .. group, 0, ARGV[5] - 1) end
local one = call('GET', base .. ':d:' .. installation .. '|' .. mark)
return one and string.sub(one, 1, 1) == '1' and {one} or {}
"""
)
