-- id, entry, token of this call, max_tries, error text, consumer
local id, entry, token, max_tries = ARGV[1], ARGV[2], ARGV[3], tonumber(ARGV[4])
local key = K.job .. id
local job = redis.call('HMGET', key, 'state', 'entry', 'tries', 'begun_by', 'run')
if job[1] ~= 'processing' or job[2] ~= entry then
  -- The ticket may be another job's by now: then it is not ours to drop.
  if (redis.call('HGET', K.tickets, entry) or id) == id then
    drop_entry(entry)
  end
  return {'gone'}
end
if #redis.call('XPENDING', K.queue, K.group, entry, entry, 1, ARGV[6]) == 0 then
  return {'gone'} -- reclaimed by another before we began: it is theirs to end
end
if job[4] == token then
  return {'ok', redis.call('HGETALL', key)}
end
leave_line(id) -- if it still waits, by a ticket of an older version
if tonumber(job[3]) >= max_tries then
  drop_entry(entry)
  redis.call('XADD', K.dead, 'MAXLEN', '~', K.dead_kept, '*', 'job', id, 'run', job[5], 'tries', job[3],
    'stage', redis.call('HGET', key, 'stage'), 'request', redis.call('HGET', key, 'request'))
  redis.call('HDEL', key, 'entry', 'begun_by')
  redis.call('HSET', key, 'error', ARGV[5], 'updated_at', stamp(now()))
  redis.call('HINCRBY', K.stats, 'dead_letters', 1)
  count_end(id, 'error')
  move(id, 'processing', 'error')
  extend(id)
  call_back(id)
  tell(id)
  return {'gone'}
end
redis.call('HINCRBY', key, 'attempt', 1)
if redis.call('HINCRBY', key, 'tries', 1) > 1 then
  redis.call('HINCRBY', K.stats, 'retries', 1)
elseif redis.call('HSETNX', key, 'begun_at', stamp(now())) == 1 and seconds_of_run(id) then
  observe(K.wait_seconds, 'all', seconds_of_run(id))
end
redis.call('HSET', key, 'stage', 'starting', 'begun_by', token, 'updated_at', stamp(now()))
extend(id)
tell(id)
return {'ok', redis.call('HGETALL', key)}
