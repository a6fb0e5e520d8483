-- key, token, ttl_ms, then the answer; without one the key is free again
local kept = redis.call('GET', ARGV[1])
if ARGV[4] and kept == 'done ' .. ARGV[4] then
  return 1
end
if kept ~= 'pending ' .. ARGV[2] then
  return 0
end
if ARGV[4] then
  redis.call('SET', ARGV[1], 'done ' .. ARGV[4], 'PX', ARGV[3])
else
  redis.call('DEL', ARGV[1])
end
return 1
