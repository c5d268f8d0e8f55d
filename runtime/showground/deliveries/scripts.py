"""The Lua scripts of the delivery queue: every change of it is one script on one slot, so it happens whole or not at all.

Each script gets one key, the base of its shard (`sg:{3}:deliveries`), and makes the others from it. They share its hash tag,
so they are in its slot; they can't all be named beforehand, because a claim finds out what there is to claim.

What many deliveries need is done by one command for all of them: a call costs Redis about as much as five arguments do
(Valkey 9.1, November 2026), and each that writes is a record of its own in the append-only file.

Keys of a shard, after the base:

    :d:<installation>|<id>   string  "0" <13 digits: ms from which its age counts> <Delivery>, or "1" <outcome> once it ended
    :out:<installation>      hash    id → tries so far, and while it runs a space and the fencing number of the claim: the two are
                                     its token. They are the outstanding ones, so the hash's length is the backlog
    :ready:<installation>    list    ids that may run now, oldest first
    :due                     zset    installation|id by the time from which it may run
    :ring                    zset    installations with ready work and room to run it, by turn
    :leases                  zset    installation|id by the end of its lease
    :active                  hash    installation → how many run
    :groups:<installation>   hash    group → outstanding ones
    :queued:<inst>|<group>   list    <due> "|" id of those with overlap "queue" that wait for their turn
    :h:<inst>|<group>        list    outcomes, newest first;  :hi:<installation>  set of the groups that have any
    :dead:<installation>     hash    id → dead letter;  :deadz:<installation>  zset of ids by time of death
    :wanted                  set     installation|id that somebody waits for
    :n                       int     source of fencing numbers and turns: only ever grows
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
local function split(name)
  local bar = string.find(name, '|', 1, true)
  return string.sub(name, 1, bar - 1), string.sub(name, bar + 1)
end
local function tries_of(token)
  return tonumber(string.match(token, '^%d+'))
end
local function add(lists, key, item)
  local list = lists[key]
  if not list then list = {} lists[key] = list end
  list[#list + 1] = item
end
local first_of = {}
local function remember(installation, group, outcome)
  local key = base .. ':h:' .. installation .. '|' .. group
  local length = call('LPUSH', key, outcome)
  if length > 50 then call('LTRIM', key, 0, 49) end
  call('PEXPIRE', key, 604800000)
  if length == 1 then add(first_of, installation, group) end
end
local function list_histories()
  for installation, groups in pairs(first_of) do
    each('SADD', base .. ':hi:' .. installation, groups)
    call('PEXPIRE', base .. ':hi:' .. installation, 1209600000)
  end
end
local function next_of(installation, group, left)
  local queued = base .. ':queued:' .. installation .. '|' .. group
  if call('LLEN', queued) < left then return end
  local item = call('LPOP', queued)
  local bar = string.find(item, '|', 1, true)
  local due, id = tonumber(string.sub(item, 1, bar - 1)), string.sub(item, bar + 1)
  if due > now then later(installation, id, due) return end
  call('RPUSH', base .. ':ready:' .. installation, id)
  turn(installation)
end
local function leave_groups(installation, groups)
  local key = base .. ':groups:' .. installation
  local left, empty, rest = {}, {}, {}
  for i, n in ipairs(call('HMGET', key, unpack(groups))) do
    local group = groups[i]
    left[group] = (left[group] or tonumber(n) or 0) - 1
  end
  for group, n in pairs(left) do
    if n <= 0 then empty[#empty + 1] = group
    else
      rest[#rest + 1] = group
      rest[#rest + 1] = n
    end
  end
  if #empty > 0 then call('HDEL', key, unpack(empty)) end
  if #rest > 0 then call('HSET', key, unpack(rest)) end
  for i = 1, #rest, 2 do next_of(installation, rest[i], rest[i + 1]) end
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
-- item: {id, due, group, overlap, delivery, redrive}
-- returns one letter per delivery, in order: n new, d duplicate, s skipped, o overloaded, m redriven already
local bound = tonumber(ARGV[3])
local answers = {}
for _, entry in ipairs(cmsgpack.unpack(ARGV[4])) do
  local installation, items = entry[1], entry[2]
  local prefix = base .. ':d:' .. installation .. '|'
  local out = base .. ':out:' .. installation
  local names, seen, groups, plain = {}, {}, {}, true
  for i, item in ipairs(items) do
    local id = item[1]
    names[i] = prefix .. id
    if seen[id] or item[6] then plain = false end
    seen[id] = true
    if item[3] ~= '' then groups[#groups + 1] = item[3] end
  end
  plain = plain and call('EXISTS', unpack(names)) == 0
  local room = bound - call('HLEN', out)
  if room < #items then
    local new = 0
    for i, item in ipairs(items) do
      if plain or item[6] or call('EXISTS', names[i]) == 0 then new = new + 1 end
    end
    if new > room then
      for _ = 1, #items do answers[#answers + 1] = 'o' end
      items = {}
    end
  end
  local counts, counted = {}, {}
  if #items > 0 and #groups > 0 then
    for i, n in ipairs(call('HMGET', base .. ':groups:' .. installation, unpack(groups))) do
      counts[groups[i]] = tonumber(n) or 0
    end
  end
  local stored, ready, tries = {}, {}, {}
  local from_now = '0' .. string.format('%013.0f', now)
  for i, item in ipairs(items) do
    local id, due, group, overlap = item[1], item[2], item[3], item[4]
    local data = (due > now and '0' .. string.format('%013.0f', due) or from_now) .. item[5]
    local set, skip = true, false
    if item[6] then
      set = call('HDEL', base .. ':dead:' .. installation, id) == 1
      if set then
        call('ZREM', base .. ':deadz:' .. installation, id)
        call('SET', names[i], data)
      end
    elseif not plain then
      set = call('SET', names[i], data, 'NX')
    end
    if not set then
      answers[#answers + 1] = item[6] and 'm' or 'd'
    else
      local before = group ~= '' and counts[group] or 0
      if before > 0 and overlap == 'skip' then
        local outcome = cmsgpack.pack({id, 'skipped', 0, 0, now})
        call('SET', names[i], '1' .. outcome, 'PX', 86400000)
        remember(installation, group, outcome)
        answers[#answers + 1] = 's'
      else
        if plain then
          stored[#stored + 1] = names[i]
          stored[#stored + 1] = data
        end
        tries[#tries + 1] = id
        tries[#tries + 1] = '0'
        if group ~= '' then
          counts[group] = before + 1
          counted[group] = true
        end
        if before > 0 and overlap == 'queue' then
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
  if #stored > 0 then call('MSET', unpack(stored)) end
  each('HSET', out, tries)
  local fields = {}
  for group in pairs(counted) do
    fields[#fields + 1] = group
    fields[#fields + 1] = counts[group]
  end
  each('HSET', base .. ':groups:' .. installation, fields)
  if #ready > 0 then
    each('RPUSH', base .. ':ready:' .. installation, ready)
    turn(installation)
  end
end
list_histories()
tell()
return table.concat(answers)
"""
)

TURN = Script(
    PRELUDE
    + """
-- Take the outcomes of what ended, then claim what may run.
-- ARGV: now, publish, lease, host, concurrency, want, dead letters kept, their age, msgpack of acks
-- ack: {installation, id, token, what, group, outcome, delay, letter}; what: t ended, x dead, r again later,
--   u again later and not counted, b given back untouched
-- returns {now, first due or -1, 1 when there is more to claim, letters dropped, {positions of refused acks}, {claims}}
-- claim: installation|id, token, stored delivery
local lease, host, limit, want = tonumber(ARGV[3]), ARGV[4], tonumber(ARGV[5]), tonumber(ARGV[6])
local acks = cmsgpack.unpack(ARGV[9])
local refused, dropped = {}, 0
local leases, active = base .. ':leases', base .. ':active'
local function free(installation, n)
  if call('HINCRBY', active, installation, -n) <= 0 then call('HDEL', active, installation) end
  if call('EXISTS', base .. ':ready:' .. installation) == 1 then turn(installation) end
end

if #acks > 0 then
  local names, at, ids = {}, {}, {}
  for i, ack in ipairs(acks) do
    names[i] = ack[1] .. '|' .. ack[2]
    add(at, ack[1], i)
    add(ids, ack[1], ack[2])
  end
  local wanted = call('EXISTS', base .. ':wanted') == 1 and call('SMISMEMBER', base .. ':wanted', unpack(names))
  for installation, positions in pairs(at) do
    local out = base .. ':out:' .. installation
    local tokens = call('HMGET', out, unpack(ids[installation]))
    local ended, gone, again, left = {}, {}, {}, {}
    for k, i in ipairs(positions) do
      local ack = acks[i]
      local id, what, group, outcome = ack[2], ack[4], ack[5], ack[6]
      if tokens[k] ~= ack[3] then
        refused[#refused + 1] = i - 1
      else
        ended[#ended + 1] = names[i]
        if what == 't' or what == 'x' then
          call('SET', base .. ':d:' .. names[i], '1' .. outcome, 'PX', 86400000)
          gone[#gone + 1] = id
          if what == 'x' then
            dropped = dropped + bury(installation, id, ack[8], tonumber(ARGV[7]), tonumber(ARGV[8]))
          end
          if group ~= '' then
            remember(installation, group, outcome)
            left[#left + 1] = group
          end
          if wanted and wanted[i] == 1 then call('SREM', base .. ':wanted', names[i]) end
        else
          again[#again + 1] = id
          again[#again + 1] = tries_of(ack[3]) - (what == 'r' and 0 or 1)
          if what == 'b' then call('LPUSH', base .. ':ready:' .. installation, id)
          else later(installation, id, now + ack[7]) end
        end
        if wanted and wanted[i] == 1 and outcome ~= '' then
          call(publish, base .. ':outcomes', what .. string.format('%05d', #names[i]) .. names[i] .. outcome)
        end
      end
    end
    if #gone > 0 then call('HDEL', out, unpack(gone)) end
    if #again > 0 then call('HSET', out, unpack(again)) end
    if #left > 0 then leave_groups(installation, left) end
    if #ended > 0 then
      call('ZREM', leases, unpack(ended))
      free(installation, #ended)
    end
  end
  list_histories()
end

local late = call('ZRANGEBYSCORE', leases, '-inf', int(now), 'LIMIT', 0, 200)
if #late > 0 then
  call('ZREM', leases, unpack(late))
  local lost = {}
  for _, name in ipairs(late) do
    local installation, id = split(name)
    add(lost, installation, id)
  end
  for installation, ids in pairs(lost) do
    local out, again = base .. ':out:' .. installation, {}
    for i, token in ipairs(call('HMGET', out, unpack(ids))) do
      if token then
        again[#again + 1] = ids[i]
        again[#again + 1] = tries_of(token)
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
      local tokens, stored = call('HMGET', out, unpack(ids)), {}
      for i, id in ipairs(ids) do stored[i] = base .. ':d:' .. installation .. '|' .. id end
      stored = call('MGET', unpack(stored))
      local fence = call('INCRBY', base .. ':n', #ids) - #ids
      local ends, marks, till = {}, {}, int(now + lease)
      for i, id in ipairs(ids) do
        if tokens[i] and stored[i] then
          local name, token = installation .. '|' .. id, tries_of(tokens[i]) + 1 .. ' ' .. int(fence + i)
          local n = #marks
          marks[n + 1], marks[n + 2] = id, token
          ends[n + 1], ends[n + 2] = till, name
          local k = #claims
          claims[k + 1], claims[k + 2], claims[k + 3] = name, token, stored[i]
        end
      end
      local taken = #marks / 2
      if taken > 0 then
        call('HSET', out, unpack(marks))
        call('ZADD', leases, unpack(ends))
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
-- ARGV: now, publish, lease, msgpack of { {installation|id, token}, ... }; returns positions of those that are lost
local held = cmsgpack.unpack(ARGV[4])
local lost, ends, at, ids = {}, {}, {}, {}
for i, entry in ipairs(held) do
  local installation, id = split(entry[1])
  add(at, installation, i)
  add(ids, installation, id)
end
for installation, positions in pairs(at) do
  local tokens = call('HMGET', base .. ':out:' .. installation, unpack(ids[installation]))
  for k, i in ipairs(positions) do
    if tokens[k] == held[i][2] then
      ends[#ends + 1] = int(now + tonumber(ARGV[3]))
      ends[#ends + 1] = held[i][1]
    else
      lost[#lost + 1] = i - 1
    end
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
