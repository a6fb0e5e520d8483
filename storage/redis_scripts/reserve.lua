-- key, token, hold_ms
local kept = redis.call('GET', ARGV[1])
if not kept then
  redis.call('SET', ARGV[1], 'pending ' .. ARGV[2], 'PX', ARGV[3])
  return {'new'}
end
if string.sub(kept, 1, 5) == 'done ' then
  return {'done', string.sub(kept, 6)}
end
-- The same token: sent again because the answer was lost on the way.
return {kept == 'pending ' .. ARGV[2] and 'new' or 'pending'}
