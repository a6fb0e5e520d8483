-- The line of waiting jobs: whose turn is it? After the prelude in all scripts.
--
-- Each owner has a lane, in the order of acceptance. Between lanes start-time fair queueing decides
-- (Goyal, Vin, Cheng 1996): an owner's lane carries a tag, the lowest tag is next, and what is taken moves
-- its lane's tag on by the number of its objects. So owners with jobs waiting get equal shares of the
-- work, however many jobs one of them sends, and a lane that was empty starts at the present tag: nobody
-- saves turns up, nobody is made to wait for having been alone.
--
-- The stream's entries are tickets: as many as there are runs that have not ended. `tickets` says whose each
-- is. A runner takes any ticket; the job whose turn it is gets it, in exchange for its own.

local function lane_of(owner)
  return K.lane .. owner
end

local function line_up(id, order)
  local owner = redis.call('HGET', K.job .. id, 'owner') or ''
  redis.call('ZADD', K.waiting, order, id)
  redis.call('ZADD', lane_of(owner), order, id)
  if not redis.call('ZSCORE', K.turns, owner) then
    local present = tonumber(redis.call('GET', K.turn)) or 0
    local used = tonumber(redis.call('HGET', K.used, owner)) or present
    redis.call('ZADD', K.turns, math.max(present, used), owner)
  end
end

local function leave_line(id)
  local owner = redis.call('HGET', K.job .. id, 'owner') or ''
  redis.call('ZREM', K.waiting, id)
  redis.call('ZREM', lane_of(owner), id)
  if redis.call('EXISTS', lane_of(owner)) == 0 then
    redis.call('ZREM', K.turns, owner)
  end
  if redis.call('EXISTS', K.turns) == 0 then
    redis.call('DEL', K.used, K.turn) -- nobody waits: nobody is ahead of anybody
  end
end

local function cost_of(id)
  return math.max(tonumber(redis.call('HGET', K.job .. id, 'num_objects')) or 1, 1)
end

-- The job whose turn it is; nil when none waits. Among lanes with the same tag the longest wait is first.
local function next_in_line()
  while true do
    local first = redis.call('ZRANGE', K.turns, 0, 0, 'WITHSCORES')
    if not first[1] then
      return nil
    end
    local best, best_order
    for _, owner in ipairs(redis.call('ZRANGEBYSCORE', K.turns, first[2], first[2])) do
      local head = redis.call('ZRANGE', lane_of(owner), 0, 0, 'WITHSCORES')
      if not head[1] then
        redis.call('ZREM', K.turns, owner)
      elseif not best or tonumber(head[2]) < best_order then
        best, best_order = {id = head[1], owner = owner, tag = tonumber(first[2])}, tonumber(head[2])
      end
    end
    if best then
      local job = redis.call('HMGET', K.job .. best.id, 'state', 'entry')
      if job[1] == 'processing' and job[2] then
        return best
      end
      -- Its hash died by itself (see BACKSTOP_S) or is not what it should be: it waits for nothing.
      redis.call('ZREM', K.waiting, best.id)
      redis.call('ZREM', lane_of(best.owner), best.id)
    end
  end
end

-- The job that a runner with ticket `entry` is to do: {entry, job, run}. Writes something small first:
-- it must pass with full memory. `named` is the job in the entry itself, should `tickets` have lost it.
local function assign(entry, named)
  local id = redis.call('HGET', K.tickets, entry) or named
  if redis.call('ZSCORE', K.waiting, id) then
    local turn = next_in_line()
    leave_line(turn and turn.id or id)
    if turn then
      if redis.call('EXISTS', K.turns) == 1 then
        local used = turn.tag + cost_of(turn.id)
        redis.call('SET', K.turn, turn.tag)
        redis.call('HSET', K.used, turn.owner, used)
        if redis.call('EXISTS', lane_of(turn.owner)) == 1 then
          redis.call('ZADD', K.turns, used, turn.owner)
        end
      end
      if turn.id ~= id then
        local other = redis.call('HGET', K.job .. turn.id, 'entry')
        redis.call('HSET', K.tickets, entry, turn.id, other, id)
        redis.call('HSET', K.job .. turn.id, 'entry', entry)
        redis.call('HSET', K.job .. id, 'entry', other)
        id = turn.id
      end
    end
  end
  return {entry, id, redis.call('HGET', K.job .. id, 'run') or '0'}
end

-- A job that was taken goes back to its old place, and its owner gets back what the turn cost.
local function line_up_again(id, order)
  local owner = redis.call('HGET', K.job .. id, 'owner') or ''
  local present = tonumber(redis.call('GET', K.turn)) or 0
  local tag = tonumber(redis.call('ZSCORE', K.turns, owner) or redis.call('HGET', K.used, owner)) or present
  redis.call('ZADD', K.turns, tag - cost_of(id), owner)
  redis.call('HSET', K.used, owner, tag - cost_of(id))
  line_up(id, order)
end

-- Place in line, 1 = next, if every job cost the same; false when it does not wait.
local function place_in_line(id)
  local owner = redis.call('HGET', K.job .. id, 'owner') or ''
  local rank = redis.call('ZRANK', lane_of(owner), id)
  local mine = tonumber(redis.call('ZSCORE', K.turns, owner))
  if not rank or not mine then
    return false
  end
  local order = tonumber(redis.call('ZSCORE', K.waiting, id))
  local ahead, turn = rank, mine + rank
  local lanes = redis.call('ZRANGE', K.turns, 0, -1, 'WITHSCORES')
  for i = 1, #lanes, 2 do
    if lanes[i] ~= owner then
      local tag, count = tonumber(lanes[i + 1]), redis.call('ZCARD', lane_of(lanes[i]))
      local before = math.min(count, math.max(0, math.ceil(turn - tag)))
      if before < count and tag + before == turn then
        local tied = redis.call('ZRANGE', lane_of(lanes[i]), before, before, 'WITHSCORES')
        before = before + (tonumber(tied[2]) < order and 1 or 0)
      end
      ahead = ahead + before
    end
  end
  return ahead + 1
end
