"""The Lua scripts of what is put away, thrown away or forgotten: dead letters, and all of an installation at once.

They work on the keys that `showground.deliveries.prelude` describes, and with its prelude.
"""

from __future__ import annotations

from showground.deliveries.prelude import PRELUDE
from showground.redis.api import Script

BURY = Script(
    PRELUDE
    + """
-- Put deliveries straight among the dead letters, unless their ids were seen before.
-- ARGV: now, publish, dead letters kept, their age, msgpack of { {installation, id, outcome, letter}, ... }
-- returns letters dropped
local dropped = 0
for _, entry in ipairs(cmsgpack.unpack(ARGV[5])) do
  if call('SET', base .. ':d:' .. entry[1] .. '|' .. entry[2], '1' .. entry[3], 'NX', 'PX', 86400000) then
    dropped = dropped + bury(entry[1], entry[2], entry[4], tonumber(ARGV[3]), tonumber(ARGV[4]))
  end
end
return dropped
"""
)

PURGE = Script(
    PRELUDE
    + """
-- ARGV: now, publish, installation, msgpack of ids; returns how many dead letters there were
local n = 0
for _, id in ipairs(cmsgpack.unpack(ARGV[4])) do
  n = n + call('HDEL', base .. ':dead:' .. ARGV[3], id)
  call('ZREM', base .. ':deadz:' .. ARGV[3], id)
end
return n
"""
)

CLEAR = Script(
    PRELUDE
    + """
-- ARGV: now, publish, installation; forgets up to 1000 outstanding ones; returns how many are left
local installation = ARGV[3]
local out = base .. ':out:' .. installation
local ids = call('HSCAN', out, 0, 'COUNT', 1000)[2]
local names, stored, fields = {}, {}, {}
for i = 1, math.min(#ids, 2000), 2 do
  local n = #names + 1
  fields[n] = ids[i]
  names[n] = installation .. '|' .. ids[i]
  stored[n] = base .. ':d:' .. names[n]
end
if #names > 0 then
  each('ZREM', base .. ':leases', stored)
  each('ZREM', base .. ':due', names)
  each('HDEL', out, fields)
  for i = 1, #stored, 1000 do call('DEL', unpack(stored, i, math.min(i + 999, #stored))) end
end
local left = call('HLEN', out)
if left > 0 then return left end
call('DEL', base .. ':ready:' .. installation, base .. ':dead:' .. installation, base .. ':deadz:' .. installation)
call('ZREM', base .. ':ring', installation)
call('HDEL', base .. ':active', installation)
for _, group in ipairs(call('HKEYS', base .. ':groups:' .. installation)) do
  call('DEL', base .. ':queued:' .. installation .. '|' .. group)
end
for ago = 0, 1 do
  for _, group in ipairs(call('HKEYS', histories(installation, ago))) do
    call('DEL', base .. ':h:' .. installation .. '|' .. group)
  end
  call('DEL', histories(installation, ago))
end
call('DEL', base .. ':groups:' .. installation)
return 0
"""
)
