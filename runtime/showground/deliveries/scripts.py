"""The Lua scripts of the delivery queue: every change of it is one script on one slot, so it happens whole or not at all.

Each script gets one key, the base of its shard (`sg:{3}:deliveries`), and makes the others from it. They share its hash tag,
so they are in its slot; they can't all be named beforehand, because a claim finds out what there is to claim.

What many deliveries need is done by one command for all of them: a call costs Redis about as much as five arguments do
(Valkey 9.1, November 2026), and each that writes is a record of its own in the append-only file. For the same reason callers give
and get columns, which go into a command as they are, and strings that are whole, since each that Lua makes is hashed anew.

Keys of a shard, after the base:

    :d:<installation>|<id>   string  "0" <Delivery>, or "1" <outcome> once it ended
    :out:<installation>      hash    id → tries so far, the ms from which its age counts, and while it runs the fencing number of
                                     the claim; with spaces between. They are the outstanding ones, so its length is the backlog
    :ready:<installation>    list    ids that may run now, oldest first
    :due                     zset    installation|id by the time from which it may run
    :ring                    zset    installations with ready work and room to run it, by turn
    :leases                  zset    the whole key of each delivery that runs, by the end of its lease
    :active                  hash    installation → how many run
    :groups:<installation>   hash    group → outstanding ones
    :queued:<inst>|<group>   list    <due> "|" id of those with overlap "queue" that wait for their turn
    :h:<inst>|<group>        list    "1" <outcome>, newest first, of a group that has several
    :hi:<inst>|<week>        hash    groups that had an outcome in that week → the id of the only one, or "" when there is a
                                     list. So one-off jobs need none, and what is known of them is forgotten by the week
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
  for i = 1, #list, 1000 do
    if extra then call(command, key, extra, unpack(list, i, math.min(i + 999, #list)))
    else call(command, key, unpack(list, i, math.min(i + 999, #list))) end
  end
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
local function told(token)
  local tries, since = string.match(token, '^(%d+) (%d+)')
  return tonumber(tries), since
end
local function add(lists, key, item)
  local list = lists[key]
  if not list then list = {} lists[key] = list end
  list[#list + 1] = item
end
local WEEK = 604800000
local function histories(installation, ago)
  return base .. ':hi:' .. installation .. '|' .. int(math.floor(now / WEEK) - ago)
end
local function history_marks(installation, groups)
  local this = call('HMGET', histories(installation, 0), unpack(groups))
  local last = call('HMGET', histories(installation, 1), unpack(groups))
  local marks = {}
  for i, group in ipairs(groups) do marks[group] = this[i] or last[i] end
  return marks
end
local function list_first(installation, group, id)
  local first, key = call('GET', base .. ':d:' .. installation .. '|' .. id), base .. ':h:' .. installation .. '|' .. group
  if first and string.sub(first, 1, 1) == '1' then
    call('LPUSH', key, first)
    call('PEXPIRE', key, WEEK)
  end
end
local function remember(installation, groups, ids, outcomes)
  local marks, fields = history_marks(installation, groups), {}
  for i, group in ipairs(groups) do
    local mark = marks[group]
    if not mark or mark == ids[i] then
      marks[group] = ids[i]
    else
      local key = base .. ':h:' .. installation .. '|' .. group
      if mark ~= '' then
        list_first(installation, group, mark)
        marks[group] = ''
      end
      if call('LPUSH', key, outcomes[i]) > 50 then call('LTRIM', key, 0, 49) end
      call('PEXPIRE', key, WEEK)
    end
    fields[2 * i - 1], fields[2 * i] = group, marks[group]
  end
  each('HSET', histories(installation, 0), fields)
  call('PEXPIRE', histories(installation, 0), 3 * WEEK)
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
-- ARGV: now, publish, backlog bound, redrive, msgpack of
--   { {installation, twice, ids, keys, stored, groups, overlaps, dues}, ... }
-- twice: whether an id is there twice; groups, overlaps and dues are empty where all of them are
-- returns one letter per delivery, in order: n new, d duplicate, s skipped, o overloaded, m redriven already
local bound, redrive = tonumber(ARGV[3]), ARGV[4] == '1'
local answers = {}
for _, entry in ipairs(cmsgpack.unpack(ARGV[5])) do
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
tell()
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
