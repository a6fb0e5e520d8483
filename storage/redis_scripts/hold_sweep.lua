-- key, token, lease_ms
local holder = redis.call('GET', ARGV[1])
if holder and holder ~= ARGV[2] then
  return 0
end
redis.call('DEL', ARGV[1]) -- frees first: a full store must be swept above all
redis.call('SET', ARGV[1], ARGV[2], 'PX', ARGV[3])
return 1
