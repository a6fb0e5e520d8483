-- key, token, hold_ms. Also renews what the same token holds.
local kept = redis.call('GET', ARGV[1])
if not kept then
  redis.call('SET', ARGV[1], 'pending ' .. ARGV[2], 'PX', ARGV[3])
  return {'new'}
end
if string.sub(kept, 1, 5) == 'done ' then
  return {'done', string.sub(kept, 6)}
end
if kept ~= 'pending ' .. ARGV[2] then
  return {'pending'}
end
redis.call('PEXPIRE', ARGV[1], ARGV[3])
return {'new'}
