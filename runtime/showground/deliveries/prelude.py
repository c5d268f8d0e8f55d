"""The keys of the delivery queue, and what its Lua scripts have in common.

Every change of the queue is one script on one slot, so it happens whole or not at all.

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
local function tell(first)
  if poke then call(publish, base .. ':poke', call('GET', base .. ':steward') or first) end
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
