-- Writes all rows of one entity into Feast's own hash, or says why not. One call, so nobody sees half of it.
--
-- KEYS[1]  the Feast hash            KEYS[2]  the user's state hash (users only)
-- ARGV     epoch ("" for items), number of rows, then for each row:
--          view, source_rev, generation, release, number of fields, field, value, field, value, ...
-- Returns  for each row {outcome, event time in microseconds, stored values...}; values only for "repeated".

local function varint(n)
  local bytes = {}
  while n >= 128 do
    bytes[#bytes + 1] = string.char(n % 128 + 128)
    n = math.floor(n / 128)
  end
  bytes[#bytes + 1] = string.char(n)
  return table.concat(bytes)
end

-- google.protobuf.Timestamp: field 1 seconds, field 2 nanos; proto3 leaves zeros out.
local function timestamp(us)
  local seconds = math.floor(us / 1000000)
  local nanos = (us - seconds * 1000000) * 1000
  local out = "\8" .. varint(seconds)
  if nanos > 0 then
    out = out .. "\16" .. varint(nanos)
  end
  return out
end

local function read_varint(bytes, at)
  local n, scale = 0, 1
  while true do
    local b = string.byte(bytes, at)
    if not b then return n, at end
    at = at + 1
    n = n + (b % 128) * scale
    if b < 128 then return n, at end
    scale = scale * 128
  end
end

-- Plain Feast writers (push, materialize) leave `_ts` only: their time counts as "last" too.
local function micros(bytes)
  local seconds, nanos, at, tag = 0, 0, 1, 0
  while at <= #bytes do
    tag = string.byte(bytes, at)
    if tag == 8 then seconds, at = read_varint(bytes, at + 1)
    elseif tag == 16 then nanos, at = read_varint(bytes, at + 1)
    else return 0 end
  end
  if seconds > 9007199254 then return 0 end -- beyond exact doubles, or before 1970
  return seconds * 1000000 + math.ceil(nanos / 1000)
end

local key = KEYS[1]
local epoch = ARGV[1]
local forgotten = false
if epoch ~= "" then
  local stored = redis.call("HGET", KEYS[2], "epoch")
  forgotten = stored and tonumber(epoch) < tonumber(stored)
end

local now = redis.call("TIME")
local server_us = tonumber(now[1]) * 1000000 + tonumber(now[2])
local results = {}
local at = 3
for row = 1, tonumber(ARGV[2]) do
  local view, rev, generation, release = ARGV[at], ARGV[at + 1], ARGV[at + 2], ARGV[at + 3]
  local first, count = at + 5, tonumber(ARGV[at + 4])
  at = first + 2 * count
  local write_id = rev .. ":" .. generation .. ":" .. release
  local stored = redis.call("HMGET", key, "_rev:" .. view, "_wid:" .. view, "_us:" .. view, "_ts:" .. view)
  local stored_us = stored[3] or "0"
  local stale = false
  if stored[1] then
    stale = tonumber(rev) < tonumber(stored[1])
    if not stale and stored[2] and tonumber(rev) == tonumber(stored[1]) then
      -- A late retry of an earlier generation must not undo a later one of the same events.
      local old_generation, old_release = string.match(stored[2], "^%d+:(%d+):(.*)$")
      stale = old_release == release and tonumber(generation) < tonumber(old_generation)
    end
  end
  if forgotten then
    results[row] = {"forgotten", stored_us}
  elseif stored[2] == write_id then
    results[row] = {"repeated", stored_us}
    -- If somebody else's push lies on top, the stored values are not those of this write.
    if stored[4] and stored[4] == timestamp(tonumber(stored_us)) then
      local fields = {}
      for i = 1, count do fields[i] = ARGV[first + 2 * (i - 1)] end
      local values = redis.call("HMGET", key, unpack(fields))
      for i = 1, count do results[row][i + 2] = values[i] end
    end
  elseif stale then
    results[row] = {"stale", stored_us}
  else
    local last = math.max(tonumber(stored_us), stored[4] and micros(stored[4]) or 0)
    local us = math.max(server_us, last + 1)
    local us_text = string.format("%.0f", us)
    local set = {
      "_ts:" .. view, timestamp(us), "_rev:" .. view, rev, "_wid:" .. view, write_id, "_us:" .. view, us_text,
    }
    for i = 0, 2 * count - 1 do set[#set + 1] = ARGV[first + i] end
    redis.call("HSET", key, unpack(set))
    results[row] = {"written", us_text}
  end
end
return results
