-- User state: everything that must be decided and changed in one step. One hash, one user, one call.
--
-- KEYS[1]  the user's state hash
-- ARGV[1]  operation, then its arguments; see each function below
--
-- Fields: format, epoch, rev, requested_rev, requested_at, refreshed_rev, refreshed_at, generation (digits);
--   o:<topic id>:<partition>  last offset taken into account
--   e:<rev>                   one event of the ring, a JSON array; the newest N revs are kept
--   n:<polarity>              events ever applied with that polarity
--   prompts, decision, refresh_outcome, profile (JSON); rank:<field>, by which the two before it never go back;
--   forgotten (digits, a stub's time in microseconds), gone (1: everything of the old life is deleted)
-- Numbers stay text wherever they may pass 2^53 or carry a fraction: Lua's own formatting would round them.

local key = KEYS[1]
local FORMAT = "1"

local function now_us()
  local t = redis.call("TIME")
  return string.format("%.0f", tonumber(t[1]) * 1000000 + tonumber(t[2]))
end

local function load()
  local flat = redis.call("HGETALL", key)
  local state = {}
  for i = 1, #flat, 2 do state[flat[i]] = flat[i + 1] end
  if state.format and state.format ~= FORMAT then
    return nil, redis.error_reply("REKISTATE this user's state has format " .. state.format .. ", not " .. FORMAT)
  end
  return state
end

local function number(state, field) return tonumber(state[field] or "0") end

local function digits(n) return string.format("%.0f", n) end

local function flatten(state)
  local flat = {}
  for field, value in pairs(state) do
    flat[#flat + 1] = field
    flat[#flat + 1] = value
  end
  return flat
end

-- HSET in pieces: unpack() has a limit of some thousand values.
local function set(changes)
  local flat = flatten(changes)
  for i = 1, #flat, 1000 do redis.call("HSET", key, unpack(flat, i, math.min(i + 999, #flat))) end
end

-- apply ring_size n { topic:partition offset event_id head polarity }*n
--   `head` is the event's JSON array up to its offset, open: rev and applied_at are appended here.
-- Returns {now, verdicts, state}; a verdict is the new rev, or "replayed" or "duplicate".
-- The whole state comes back even if everything was ignored: later steps must run again for a replayed event.
local function apply()
  local state, failure = load()
  if failure then return failure end
  local ring_size, count, now = tonumber(ARGV[2]), tonumber(ARGV[3]), now_us()
  local verdicts, changed, seen = {}, {}, nil
  local rev = number(state, "rev")
  local oldest = rev + 1
  local applied = 0
  for i = 0, count - 1 do
    local at = 4 + 5 * i
    local line, offset, event_id, head, polarity =
      "o:" .. ARGV[at], tonumber(ARGV[at + 1]), ARGV[at + 2], ARGV[at + 3], ARGV[at + 4]
    if state[line] and offset <= tonumber(state[line]) then
      verdicts[i + 1] = "replayed"
    else
      if not seen then
        seen = {}
        for field, value in pairs(state) do
          if string.sub(field, 1, 2) == "e:" then
            seen[string.match(value, '^%["([^"]*)"')] = field
            oldest = math.min(oldest, tonumber(string.sub(field, 3)))
          end
        end
      end
      state[line] = ARGV[at + 1]
      changed[line] = ARGV[at + 1]
      if seen[event_id] then
        verdicts[i + 1] = "duplicate"
      else
        rev = rev + 1
        applied = applied + 1
        local field = "e:" .. digits(rev)
        state[field] = head .. "," .. digits(rev) .. "," .. now .. "]"
        changed[field] = state[field]
        seen[event_id] = field
        local tally = "n:" .. polarity
        state[tally] = digits(number(state, tally) + 1)
        changed[tally] = state[tally]
        verdicts[i + 1] = digits(rev)
        while oldest <= rev - ring_size do -- more than one where the ring was made smaller
          local old = "e:" .. digits(oldest)
          if state[old] then
            seen[string.match(state[old], '^%["([^"]*)"')] = nil
            state[old] = nil
            if changed[old] then changed[old] = nil else redis.call("HDEL", key, old) end
          end
          oldest = oldest + 1
        end
      end
    end
  end
  if next(changed) then
    if not state.format then changed.format = FORMAT end
    if not state.epoch then changed.epoch = "0" end
    if applied > 0 then
      changed.rev = digits(rev)
      if state.forgotten then
        -- A stub's user is back: a new life, which must not expire with the stub.
        redis.call("HDEL", key, "forgotten", "gone")
        redis.call("PERSIST", key)
        state.forgotten, state.gone = nil, nil
      end
    end
    for field, value in pairs(changed) do state[field] = value end
    set(changed)
  end
  return { now, verdicts, flatten(state) }
end

-- forget topic:partition offset ttl_ms
-- Leaves {format, epoch + 1, offsets, prompts until erased, forgotten}. Verdict "1" = done now, "again" = this very
-- record was the last one handled and its later steps were cut off, "replayed" = nothing is left to do.
local function forget()
  local state, failure = load()
  if failure then return failure end
  local line, offset, now = "o:" .. ARGV[2], tonumber(ARGV[3]), now_us()
  local last = state[line] and tonumber(state[line])
  if last and offset < last then return { now, { "replayed" }, flatten(state) } end
  if last and offset == last then
    return { now, { state.forgotten and not state.gone and "again" or "replayed" }, flatten(state) }
  end
  local stub = { format = FORMAT, epoch = digits(number(state, "epoch") + 1), forgotten = now }
  for field, value in pairs(state) do
    if string.sub(field, 1, 2) == "o:" then stub[field] = value end
  end
  stub[line] = ARGV[3]
  stub.prompts = state.prompts
  redis.call("DEL", key)
  set(stub)
  redis.call("PEXPIRE", key, ARGV[4])
  return { now, { "1" }, flatten(stub) }
end

-- update epoch { field kind value rank }*
--   kind: "max" (digits, never down), "ranked" (JSON; kept beside it, `rank:<field>` never goes down), "set",
--   "append" (JSON array of strings), "clear".
-- Returns 1, or 0 where there is no state or another epoch.
local function update()
  local epoch = redis.call("HGET", key, "epoch")
  if not epoch or epoch ~= ARGV[2] then return 0 end
  for at = 3, #ARGV, 4 do
    local field, kind, value, rank = ARGV[at], ARGV[at + 1], ARGV[at + 2], ARGV[at + 3]
    if kind == "max" then
      if tonumber(value) > tonumber(redis.call("HGET", key, field) or "-1") then redis.call("HSET", key, field, value) end
    elseif kind == "ranked" then
      local place = "rank:" .. field
      if tonumber(rank) >= tonumber(redis.call("HGET", key, place) or "-1") then
        redis.call("HSET", key, field, value, place, rank)
      end
    elseif kind == "append" then
      local old = redis.call("HGET", key, field)
      if not old or old == "[]" then
        redis.call("HSET", key, field, value)
      elseif value ~= "[]" then
        redis.call("HSET", key, field, string.sub(old, 1, -2) .. "," .. string.sub(value, 2))
      end
    elseif kind == "clear" then
      redis.call("HDEL", key, field)
    else
      redis.call("HSET", key, field, value)
    end
  end
  return 1
end

-- create epoch rev { field value }*: a whole state (loaded history, rebuild).
-- Refused (0) where the state that is there has the same or a higher (epoch, rev), or is a stub.
local function create()
  local state, failure = load()
  if failure then return failure end
  if state.format then
    local epoch, rev = number(state, "epoch"), number(state, "rev")
    local new_epoch, new_rev = tonumber(ARGV[2]), tonumber(ARGV[3])
    if state.forgotten or epoch > new_epoch or (epoch == new_epoch and rev >= new_rev) then return 0 end
    -- A loaded history knows no offsets: over a state that has seen records it would undo their events for good.
    local loaded, seen = true, false
    for at = 4, #ARGV, 2 do
      if string.sub(ARGV[at], 1, 2) == "o:" then loaded = false end
    end
    for field in pairs(state) do
      if string.sub(field, 1, 2) == "o:" then seen = true end
    end
    if loaded and seen then return 0 end
  end
  local fields = { format = FORMAT, epoch = ARGV[2], rev = ARGV[3] }
  for at = 4, #ARGV, 2 do fields[ARGV[at]] = ARGV[at + 1] end
  redis.call("DEL", key)
  set(fields)
  return 1
end

local operations = { apply = apply, forget = forget, update = update, create = create }
return operations[ARGV[1]]()
