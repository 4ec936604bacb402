-- The due set. KEYS: due, drift, leases, waiting (zsets by user id), revs (hash: source_rev of the open request).
-- ARGV[1] = operation. Times are seconds; an empty time means the server's clock.
local due, drift, leases, waiting, revs = KEYS[1], KEYS[2], KEYS[3], KEYS[4], KEYS[5]
local op = ARGV[1]

local function clock(given)
  if given ~= '' then return tonumber(given) end
  local t = redis.call('TIME')
  return tonumber(t[1]) + tonumber(t[2]) / 1000000
end

-- A number as text without loss: tostring() keeps 14 digits, which is 10 ms for a time in seconds.
local function text(number) return string.format('%.6f', number) end

local function unlease(user)
  redis.call('ZREM', leases, user)
  redis.call('HDEL', revs, user)
  local mark = redis.call('ZSCORE', waiting, user)
  if mark then
    redis.call('ZREM', waiting, user)
    redis.call('ZADD', due, 'LT', mark, user)
  end
end

if op == 'pop' then
  local now = clock(ARGV[2])
  local budget, lease_s, patience_s, window = tonumber(ARGV[3]), tonumber(ARGV[4]), tonumber(ARGV[5]), tonumber(ARGV[6])
  -- Unanswered by its deadline: due again, whether the publisher died or the answer never came.
  for _, user in ipairs(redis.call('ZRANGEBYSCORE', leases, '-inf', text(now), 'LIMIT', 0, window)) do
    unlease(user)
    redis.call('ZADD', due, 'LT', text(now), user)
  end
  local candidates = {}
  local raw = redis.call('ZRANGEBYSCORE', due, '-inf', text(now), 'WITHSCORES', 'LIMIT', 0, window)
  for i = 1, #raw, 2 do
    local user, at = raw[i], raw[i + 1]
    if redis.call('ZSCORE', leases, user) then
      -- Marked while a request is open: the mark waits for the answer, or it would crowd out others.
      redis.call('ZREM', due, user)
      redis.call('ZADD', waiting, 'LT', at, user)
    else
      local moved = tonumber(redis.call('ZSCORE', drift, user) or '0')
      local late = tonumber(at) + patience_s <= now
      candidates[#candidates + 1] = {user = user, at = tonumber(at), raw = at, moved = moved, late = late}
    end
  end
  -- Largest drift first; who has waited longer than the patience goes before, longest wait first.
  table.sort(candidates, function(a, b)
    if a.late ~= b.late then return a.late end
    if not a.late and a.moved ~= b.moved then return a.moved > b.moved end
    if a.at ~= b.at then return a.at < b.at end
    return a.user < b.user
  end)
  local taken = {}
  for i = 1, math.min(budget, #candidates) do
    local one = candidates[i]
    redis.call('ZREM', due, one.user)
    redis.call('ZADD', leases, text(now + lease_s), one.user)
    taken[#taken + 1] = one.user
    taken[#taken + 1] = one.raw
    taken[#taken + 1] = redis.call('ZSCORE', drift, one.user) or ''
  end
  return taken
end

local user = ARGV[2]

if op == 'requested' then
  -- The broker has the request: the lease now runs to the answer's deadline.
  redis.call('ZADD', leases, text(clock('') + tonumber(ARGV[4])), user)
  redis.call('HSET', revs, user, ARGV[3])
  return 1
end

if op == 'postpone' then
  redis.call('ZADD', due, 'LT', ARGV[3], user)
  unlease(user)
  return 1
end

if op == 'done' then
  local open = redis.call('HGET', revs, user)
  -- The answer to an older request does not close a newer one.
  if open and ARGV[3] ~= '' and tonumber(open) > tonumber(ARGV[3]) then return 0 end
  unlease(user)
  if not redis.call('ZSCORE', due, user) then redis.call('ZREM', drift, user) end
  return 1
end

if op == 'forget' then
  for _, key in ipairs({due, drift, leases, waiting}) do redis.call('ZREM', key, user) end
  redis.call('HDEL', revs, user)
  return 1
end

return redis.error_reply('unknown operation ' .. op)
