"""The Lua scripts of the delivery queue: every change of it is one script on one slot, so it happens whole or not at all.

Each script gets one key, the base of its shard (`sg:{3}:deliveries`), and makes the others from it. They share its hash tag,
so they are in its slot; they can't all be named beforehand, because a claim finds out what there is to claim.

Keys of a shard, after the base:

    :d:<installation>|<id>   string  "0" <13 digits: ms from which its age counts> <Delivery>, or "1" <outcome> once it ended
    :out:<installation>      hash    id → tries so far; the outstanding ones, so its length is the backlog
    :ready:<installation>    list    ids that may run now, oldest first
    :due                     zset    installation|id by the time from which it may run
    :ring                    zset    installations with ready work and room to run it, by turn
    :running                 hash    installation|id → fencing token of the claim
    :leases                  zset    installation|id by the end of its lease
    :active                  hash    installation → how many run
    :groups:<installation>   hash    group → outstanding ones
    :queued:<inst>|<group>   list    <due> "|" id of those with overlap "queue" that wait for their turn
    :h:<inst>|<group>        list    outcomes, newest first;  :hi:<installation>  set of the groups that have any
    :dead:<installation>     hash    id → dead letter;  :deadz:<installation>  zset of ids by time of death
    :wanted                  set     installation|id that somebody waits for
    :n                       int     source of fencing tokens and turns: only ever grows
    :steward                 string  the host that claimed last;  :called  a busy host asked the others for help just now

The time is Redis' own unless the caller gives one: hosts' clocks differ, and a host whose clock is ahead must neither
steal leases nor run jobs early.
"""

from __future__ import annotations

from showground.redis.api import Script

PRELUDE = """
local base = KEYS[1]
local call = redis.call
local now = tonumber(ARGV[1])
if now == 0 then
  local t = call('TIME')
  now = tonumber(t[1]) * 1000 + math.floor(tonumber(t[2]) / 1000)
end
local publish = ARGV[2]
local poke = false
local function int(n) return string.format('%.0f', n) end
local function each(command, key, list, extra)
  for i = 1, #list, 1000 do call(command, key, unpack(list, i, math.min(i + 999, #list))) end
end
local function turn(installation)
  if call('ZADD', base .. ':ring', 'NX', int(call('INCR', base .. ':n')), installation) == 1 then poke = true end
end
local function later(installation, id, due)
  local first = call('ZRANGE', base .. ':due', 0, 0, 'WITHSCORES')
  call('ZADD', base .. ':due', int(due), installation .. '|' .. id)
  if not first[2] or due < tonumber(first[2]) then poke = true end
end
local function tell()
  if poke then call(publish, base .. ':poke', call('GET', base .. ':steward') or '') end
end
local function remember(installation, group, outcome)
  local key = base .. ':h:' .. installation .. '|' .. group
  local length = call('LPUSH', key, outcome)
  if length > 50 then call('LTRIM', key, 0, 49) end
  call('PEXPIRE', key, 604800000)
  if length == 1 then
    call('SADD', base .. ':hi:' .. installation, group)
    call('PEXPIRE', base .. ':hi:' .. installation, 1209600000)
  end
end
local function leave_group(installation, group)
  local key = base .. ':groups:' .. installation
  local left = call('HINCRBY', key, group, -1)
  if left <= 0 then call('HDEL', key, group) return end
  local queued = base .. ':queued:' .. installation .. '|' .. group
  if call('LLEN', queued) < left then return end
  local item = call('LPOP', queued)
  local bar = string.find(item, '|', 1, true)
  local due, id = tonumber(string.sub(item, 1, bar - 1)), string.sub(item, bar + 1)
  if due > now then later(installation, id, due) return end
  call('RPUSH', base .. ':ready:' .. installation, id)
  turn(installation)
end
local function bury(installation, id, letter, most, age)
  local letters, times = base .. ':dead:' .. installation, base .. ':deadz:' .. installation
  call('HSET', letters, id, letter)
  call('ZADD', times, int(now), id)
  local gone = call('ZRANGEBYSCORE', times, '-inf', int(now - age), 'LIMIT', 0, 1000)
  local over = call('ZCARD', times) - #gone - most
  if over > 0 then
    for _, old in ipairs(call('ZRANGE', times, #gone, #gone + over - 1)) do gone[#gone + 1] = old end
  end
  if #gone > 0 then
    call('HDEL', letters, unpack(gone))
    call('ZREM', times, unpack(gone))
  end
  call('PEXPIRE', letters, int(age))
  call('PEXPIRE', times, int(age))
  return #gone
end
"""

ENQUEUE = Script(
    PRELUDE
    + """
-- ARGV: now, publish, backlog bound, msgpack of { {installation, items}, ... }
-- item: {id, due, group, overlap, delivery, outcome if skipped, redrive}
-- returns one letter per delivery, in order: n new, d duplicate, s skipped, o overloaded, m redriven already
local bound = tonumber(ARGV[3])
local answers = {}
for _, entry in ipairs(cmsgpack.unpack(ARGV[4])) do
  local installation, items = entry[1], entry[2]
  local prefix = base .. ':d:' .. installation .. '|'
  local out = base .. ':out:' .. installation
  local room = bound - call('HLEN', out)
  if room < #items then
    local new = 0
    for _, item in ipairs(items) do
      if item[7] or call('EXISTS', prefix .. item[1]) == 0 then new = new + 1 end
    end
    if new > room then
      for _ = 1, #items do answers[#answers + 1] = 'o' end
      items = {}
    end
  end
  local ready, tries = {}, {}
  for _, item in ipairs(items) do
    local id, due, group, overlap = item[1], item[2], item[3], item[4]
    local since = math.max(now, due)
    local set
    if item[7] then
      set = call('HDEL', base .. ':dead:' .. installation, id) == 1
      if set then
        call('ZREM', base .. ':deadz:' .. installation, id)
        call('SET', prefix .. id, '0' .. string.format('%013.0f', since) .. item[5])
      end
    else
      set = call('SET', prefix .. id, '0' .. string.format('%013.0f', since) .. item[5], 'NX')
    end
    local answer = 'n'
    if not set then
      answer = item[7] and 'm' or 'd'
    elseif group == '' then
      tries[#tries + 1] = id
      tries[#tries + 1] = '0'
      if due > now then later(installation, id, due) else ready[#ready + 1] = id end
    else
      local groups = base .. ':groups:' .. installation
      local before = call('HINCRBY', groups, group, 1) - 1
      if before > 0 and overlap == 'skip' then
        call('HINCRBY', groups, group, -1)
        call('SET', prefix .. id, '1' .. item[6], 'PX', 86400000)
        remember(installation, group, item[6])
        answer = 's'
      else
        tries[#tries + 1] = id
        tries[#tries + 1] = '0'
        if before > 0 and overlap == 'queue' then
          call('RPUSH', base .. ':queued:' .. installation .. '|' .. group, int(due) .. '|' .. id)
        elseif due > now then
          later(installation, id, due)
        else
          ready[#ready + 1] = id
        end
      end
    end
    answers[#answers + 1] = answer
  end
  each('HSET', out, tries)
  if #ready > 0 then
    each('RPUSH', base .. ':ready:' .. installation, ready)
    turn(installation)
  end
end
tell()
return table.concat(answers)
"""
)

TURN = Script(
    PRELUDE
    + """
-- Take the outcomes of what ended, then claim what may run.
-- ARGV: now, publish, lease, host, concurrency, want, dead letters kept, their age, msgpack of acks
-- ack: {installation, id, fence, what, group, outcome, delay, letter}; what: t ended, x dead, r again later,
--   u again later and not counted, b given back untouched
-- returns {now, first due or -1, 1 when there is more to claim, letters dropped, {positions of refused acks}, {claims}}
-- claim: installation|id, fence, try, stored delivery
local lease, host, limit, want = tonumber(ARGV[3]), ARGV[4], tonumber(ARGV[5]), tonumber(ARGV[6])
local acks = cmsgpack.unpack(ARGV[9])
local refused, dropped = {}, 0
local running, leases, active = base .. ':running', base .. ':leases', base .. ':active'
local freed = {}
local function free(installation, n)
  if call('HINCRBY', active, installation, -n) <= 0 then call('HDEL', active, installation) end
  if call('EXISTS', base .. ':ready:' .. installation) == 1 then turn(installation) end
end

if #acks > 0 then
  local names, ended, gone = {}, {}, {}
  for i, ack in ipairs(acks) do names[i] = ack[1] .. '|' .. ack[2] end
  local fences = call('HMGET', running, unpack(names))
  local wanted = call('EXISTS', base .. ':wanted') == 1 and call('SMISMEMBER', base .. ':wanted', unpack(names))
  for i, ack in ipairs(acks) do
    local installation, id, what, group, outcome = ack[1], ack[2], ack[4], ack[5], ack[6]
    if fences[i] ~= ack[3] then
      refused[#refused + 1] = i - 1
    else
      ended[#ended + 1] = names[i]
      freed[installation] = (freed[installation] or 0) + 1
      if what == 't' or what == 'x' then
        call('SET', base .. ':d:' .. names[i], '1' .. outcome, 'PX', 86400000)
        local ids = gone[installation]
        if not ids then ids = {} gone[installation] = ids end
        ids[#ids + 1] = id
        if what == 'x' then dropped = dropped + bury(installation, id, ack[8], tonumber(ARGV[7]), tonumber(ARGV[8])) end
        if group ~= '' then
          remember(installation, group, outcome)
          leave_group(installation, group)
        end
        if wanted and wanted[i] == 1 then call('SREM', base .. ':wanted', names[i]) end
      else
        if what ~= 'r' then call('HINCRBY', base .. ':out:' .. installation, id, -1) end
        if what == 'b' then call('LPUSH', base .. ':ready:' .. installation, id)
        else later(installation, id, now + ack[7]) end
      end
      if wanted and wanted[i] == 1 and outcome ~= '' then
        call(publish, base .. ':outcomes', what .. string.format('%05d', #names[i]) .. names[i] .. outcome)
      end
    end
  end
  if #ended > 0 then
    call('HDEL', running, unpack(ended))
    call('ZREM', leases, unpack(ended))
    for installation, ids in pairs(gone) do call('HDEL', base .. ':out:' .. installation, unpack(ids)) end
    for installation, n in pairs(freed) do free(installation, n) end
  end
end

local late = call('ZRANGEBYSCORE', leases, '-inf', int(now), 'LIMIT', 0, 200)
if #late > 0 then
  call('ZREM', leases, unpack(late))
  call('HDEL', running, unpack(late))
  local lost = {}
  for _, name in ipairs(late) do
    local bar = string.find(name, '|', 1, true)
    local installation = string.sub(name, 1, bar - 1)
    call('LPUSH', base .. ':ready:' .. installation, string.sub(name, bar + 1))
    lost[installation] = (lost[installation] or 0) + 1
  end
  for installation, n in pairs(lost) do free(installation, n) end
end

local due = call('ZRANGEBYSCORE', base .. ':due', '-inf', int(now), 'LIMIT', 0, 500)
if #due > 0 then
  call('ZREMRANGEBYRANK', base .. ':due', 0, #due - 1)
  local arrived = {}
  for _, name in ipairs(due) do
    local bar = string.find(name, '|', 1, true)
    local installation = string.sub(name, 1, bar - 1)
    local ids = arrived[installation]
    if not ids then ids = {} arrived[installation] = ids end
    ids[#ids + 1] = string.sub(name, bar + 1)
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
      local tries = call('HMGET', out, unpack(ids))
      local stored = {}
      for i, id in ipairs(ids) do stored[i] = base .. ':d:' .. installation .. '|' .. id end
      stored = call('MGET', unpack(stored))
      local fence = call('INCRBY', base .. ':n', #ids) - #ids
      local marks, ends, tried, taken = {}, {}, {}, 0
      for i, id in ipairs(ids) do
        if tries[i] and stored[i] then
          local name, token, try = installation .. '|' .. id, int(fence + i), tries[i] + 1
          taken = taken + 1
          marks[2 * taken - 1], marks[2 * taken] = name, token
          ends[2 * taken - 1], ends[2 * taken] = int(now + lease), name
          tried[2 * taken - 1], tried[2 * taken] = id, try
          local k = #claims
          claims[k + 1], claims[k + 2], claims[k + 3], claims[k + 4] = name, token, try, stored[i]
        end
      end
      if taken > 0 then
        call('HSET', running, unpack(marks))
        call('ZADD', leases, unpack(ends))
        call('HSET', out, unpack(tried))
        runs = call('HINCRBY', active, installation, taken)
        want = want - taken
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
-- ARGV: now, publish, lease, msgpack of { {installation|id, fence}, ... }; returns positions of those that are lost
local held = cmsgpack.unpack(ARGV[4])
local lost, ends, names = {}, {}, {}
for i, entry in ipairs(held) do names[i] = entry[1] end
local fences = call('HMGET', base .. ':running', unpack(names))
for i, entry in ipairs(held) do
  if fences[i] == entry[2] then
    ends[#ends + 1] = int(now + tonumber(ARGV[3]))
    ends[#ends + 1] = names[i]
  else
    lost[#lost + 1] = i - 1
  end
end
if #ends > 0 then call('ZADD', base .. ':leases', 'XX', unpack(ends)) end
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
