-- id, and for a tenant its owner: another's job is answered as one that does not exist
local key = K.job .. ARGV[1]
if ARGV[2] and redis.call('HGET', key, 'owner') ~= ARGV[2] then
  return {{}, false}
end
return {redis.call('HGETALL', key), place_in_line(ARGV[1])}
