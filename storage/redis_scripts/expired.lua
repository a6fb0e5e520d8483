-- now ("" for the store's clock), limit
local at = tonumber(ARGV[1]) or now()
local over = {}
for _, id in ipairs(redis.call('ZRANGEBYSCORE', K.expiry, '-inf', stamp(at), 'LIMIT', 0, ARGV[2])) do
  local job = redis.call('HMGET', K.job .. id, 'state', 'entry', 'ttl_s')
  if job[1] == 'processing' and job[2] and #redis.call('XRANGE', K.queue, job[2], job[2]) > 0 then
    keep_until(id, at + tonumber(job[3]))
  else
    over[#over + 1] = id
  end
end
return over
