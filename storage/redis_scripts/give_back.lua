-- id, entry, attempt
local id, entry = ARGV[1], ARGV[2]
local key = K.job .. id
local job = redis.call('HMGET', key, 'state', 'attempt', 'entry', 'order', 'tries')
if job[1] ~= 'processing' or job[2] ~= ARGV[3] or job[3] ~= entry then
  return {'lost'}
end
redis.call('HDEL', key, 'begun_by')
-- A new attempt number shuts out whatever the leaving runner still sends.
redis.call('HINCRBY', key, 'attempt', 1)
redis.call('HSET', key, 'stage', 'queued', 'tries', math.max(tonumber(job[5]) - 1, 0), 'updated_at', stamp(now()))
line_up_again(id, job[4])
redis.call('XCLAIM', K.queue, K.group, K.given_back, 0, entry, 'IDLE', 86400000, 'JUSTID')
tell(id)
return {'ok'}
