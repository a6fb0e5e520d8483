-- Shared by all scripts; `K`, the table of key names, stands above.
--
-- Memory: Redis refuses a script's first write when it is full, but lets a script that has already
-- written go on. So scripts that accept work write with a growing command first (and are refused whole),
-- and scripts that end work free something first (and always pass).

local function now()
  local time = redis.call('TIME')
  return tonumber(time[1]) + tonumber(time[2]) / 1e6
end

local function stamp(seconds)
  return string.format('%.6f', seconds)
end

-- Also renews the backstop: keys die by themselves, should nobody ever sweep.
local function keep_until(id, expires_at)
  local key = K.job .. id
  local dies_at = (expires_at + K.backstop_s) * 1000
  local dies_at_text = string.format('%.0f', dies_at)
  redis.call('PEXPIREAT', key, dies_at_text)
  redis.call('PEXPIREAT', K.run_keys .. id, dies_at_text)
  redis.call('PEXPIREAT', K.webhooks .. id, dies_at_text)
  redis.call('ZADD', K.expiry, stamp(expires_at), id)
  redis.call('HSET', key, 'expires_at', stamp(expires_at))
  -- A picture may have many jobs: its set lives as long as the last of them.
  local picture = K.picture .. redis.call('HGET', key, 'digest')
  local left = redis.call('PTTL', picture)
  if left == -1 or (left >= 0 and left < dies_at - now() * 1000) then
    redis.call('PEXPIREAT', picture, dies_at_text)
  end
end

local function extend(id)
  local ttl = tonumber(redis.call('HGET', K.job .. id, 'ttl_s'))
  local expires_at = tonumber(redis.call('HGET', K.job .. id, 'expires_at'))
  keep_until(id, math.max(expires_at, now() + ttl))
end

local function move(id, from, to)
  redis.call('SREM', K.state .. from, id)
  redis.call('SADD', K.state .. to, id)
  redis.call('HSET', K.job .. id, 'state', to)
end

local function drop_entry(entry)
  if entry and entry ~= '' then
    redis.call('XACK', K.queue, K.group, entry)
    redis.call('XDEL', K.queue, entry)
    redis.call('HDEL', K.tickets, entry)
  end
end

local function set_files(key, first)
  for i = first, #ARGV, 2 do
    redis.call('HSET', key, 'file:' .. ARGV[i], ARGV[i + 1])
  end
end

local function forget_files(key)
  for _, field in ipairs(redis.call('HKEYS', key)) do
    if string.sub(field, 1, 5) == 'file:' then
      redis.call('HDEL', key, field)
    end
  end
end

local function tell(id)
  redis.call('PUBLISH', K.events .. id, '')
end

-- The receiver comes up again when the first of its webhooks is due.
local function set_receiver(receiver)
  local first = redis.call('ZRANGE', K.outbox_of .. receiver, 0, 0, 'WITHSCORES')
  if first[1] then
    redis.call('ZADD', K.outbox, first[2], receiver)
  else
    redis.call('ZREM', K.outbox, receiver)
  end
end

-- A run has just ended, for good: its job as it is now shall be posted to the address that came with the run.
local function call_back(id)
  local key = K.job .. id
  local job = redis.call('HMGET', key, 'callback', 'run')
  if not job[1] then
    return
  end
  local kept, fields = {}, redis.call('HGETALL', key)
  for i = 1, #fields, 2 do
    if fields[i] ~= 'request' and fields[i] ~= 'callback' then
      kept[#kept + 1] = fields[i]
      kept[#kept + 1] = fields[i + 1]
    end
  end
  local url, run = job[1], job[2]
  redis.call('HSET', K.webhooks .. id, run, cjson.encode(kept), run .. ':url', url, run .. ':tries', 0)
  redis.call('PEXPIRE', K.webhooks .. id, redis.call('PTTL', key))
  local receiver = string.match(url, '^%a+://([^/?#]+)') or url
  redis.call('ZADD', K.outbox_of .. receiver, stamp(now()), id .. ' ' .. run)
  set_receiver(receiver)
  redis.call('HINCRBY', K.stats, 'webhooks_queued', 1)
end

-- Adds to a histogram with the bounds of runs, its buckets numbered from 0 as where they are read.
local function observe(key, label, seconds)
  local bucket = 0
  while bucket < #K.run_bounds and seconds > K.run_bounds[bucket + 1] do
    bucket = bucket + 1
  end
  redis.call('HINCRBY', key, label .. '|' .. bucket, 1)
  redis.call('HINCRBYFLOAT', key, label .. '|sum', seconds)
end

-- How long an accepted run has been under way; nothing for one of an older version, which has no such time.
local function seconds_of_run(id)
  local accepted_at = tonumber(redis.call('HGET', K.job .. id, 'accepted_at'))
  return accepted_at and math.max(0, now() - accepted_at)
end

local function count_end(id, outcome)
  local seconds = seconds_of_run(id)
  if seconds then
    local objects = tonumber(redis.call('HGET', K.job .. id, 'num_objects')) or 1
    local size = objects <= 1 and '1' or objects <= 4 and '2-4' or '5+'
    observe(K.run_seconds, outcome .. ' ' .. size, seconds)
  end
  redis.call('HINCRBY', K.stats, 'finished_' .. outcome, 1)
end

local function field_of(fields, name)
  for i = 1, #fields, 2 do
    if fields[i] == name then
      return fields[i + 1]
    end
  end
end
