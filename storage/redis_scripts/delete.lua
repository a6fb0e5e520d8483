-- id, then "over" if only a job past its time is meant: it may have been given more since that was found.
-- Also mends what is left of a job whose hash died by itself.
local id = ARGV[1]
local over_at = ARGV[2] and tonumber(redis.call('ZSCORE', K.expiry, id))
if over_at and over_at > now() then
  return {-1, ''}
end
local key = K.job .. id
local job = redis.call('HMGET', key, 'entry', 'digest')
drop_entry(job[1])
leave_line(id)
local existed = redis.call('DEL', key)
redis.call('DEL', K.run_keys .. id, K.webhooks .. id)
redis.call('ZREM', K.expiry, id)
for _, state in ipairs({'uploaded', 'processing', 'ready', 'error'}) do
  redis.call('SREM', K.state .. state, id)
end
local unused = ''
if job[2] then
  redis.call('SREM', K.picture .. job[2], id)
  if redis.call('EXISTS', K.picture .. job[2]) == 0 then
    unused = job[2]
  end
end
if existed == 1 then
  tell(id)
end
return {existed, unused}
