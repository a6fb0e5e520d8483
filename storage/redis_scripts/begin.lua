-- id, entry, run, token of this call, max_tries, error text
local id, entry, run, token, max_tries = ARGV[1], ARGV[2], ARGV[3], ARGV[4], tonumber(ARGV[5])
local key = K.job .. id
local job = redis.call('HMGET', key, 'state', 'run', 'entry', 'tries', 'begun_by')
if job[1] ~= 'processing' or job[2] ~= run or job[3] ~= entry then
  drop_entry(entry)
  return {'gone'}
end
if job[5] == token then
  return {'ok', redis.call('HGETALL', key)}
end
redis.call('ZREM', K.waiting, id)
if tonumber(job[4]) >= max_tries then
  drop_entry(entry)
  redis.call('XADD', K.dead, 'MAXLEN', '~', K.dead_kept, '*', 'job', id, 'run', run, 'tries', job[4],
    'stage', redis.call('HGET', key, 'stage'), 'request', redis.call('HGET', key, 'request'))
  redis.call('HDEL', key, 'entry', 'begun_by')
  redis.call('HSET', key, 'error', ARGV[6], 'updated_at', stamp(now()))
  redis.call('HINCRBY', K.stats, 'dead_letters', 1)
  redis.call('HINCRBY', K.stats, 'finished_error', 1)
  move(id, 'processing', 'error')
  extend(id)
  tell(id)
  return {'gone'}
end
redis.call('HINCRBY', key, 'attempt', 1)
if redis.call('HINCRBY', key, 'tries', 1) > 1 then
  redis.call('HINCRBY', K.stats, 'retries', 1)
end
redis.call('HSET', key, 'stage', 'starting', 'begun_by', token, 'updated_at', stamp(now()))
extend(id)
tell(id)
return {'ok', redis.call('HGETALL', key)}
