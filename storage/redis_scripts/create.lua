-- id, ttl_s, owner, digest, picture, then name and key of each file of the upload
local id, ttl, owner, digest, picture = ARGV[1], tonumber(ARGV[2]), ARGV[3], ARGV[4], ARGV[5]
local key = K.job .. id
if redis.call('EXISTS', key) == 1 then
  -- The client library sends again when an answer was lost on the way: that is the same job.
  local same = redis.call('HMGET', key, 'state', 'owner', 'digest')
  if same[1] == 'uploaded' and same[2] == owner and same[3] == digest then
    return {'ok', redis.call('HGETALL', key)}
  end
  return {'exists'}
end
local at = now()
redis.call('HSET', key, 'state', 'uploaded', 'stage', 'uploaded', 'progress', 0,
  'created_at', stamp(at), 'updated_at', stamp(at), 'ttl_s', ARGV[2], 'owner', owner,
  'digest', digest, 'picture', picture, 'run', 0, 'attempt', 0, 'tries', 0, 'num_objects', 0)
for i = 6, #ARGV, 2 do
  redis.call('HSET', key, 'upload:' .. ARGV[i], ARGV[i + 1])
end
redis.call('SADD', K.state .. 'uploaded', id)
redis.call('SADD', K.picture .. digest, id)
keep_until(id, at + ttl)
return {'ok', redis.call('HGETALL', key)}
