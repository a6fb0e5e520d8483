-- key, cost of the call, most that may be owed; both as microseconds of earning
--
-- The key holds when the allowance is whole again. What lies between now and then is owed; a call is
-- let through when what is owed with it is at most the burst.
local time = redis.call('TIME')
local at = tonumber(time[1]) * 1000000 + tonumber(time[2])
local cost, most = tonumber(ARGV[2]), tonumber(ARGV[3])
-- A burst that was made smaller meanwhile must not shut anybody out for longer than it now lasts.
local owed = math.min(math.max((tonumber(redis.call('GET', ARGV[1])) or 0) - at, 0), most)
if owed + cost > most then
  return {0, string.format('%.0f', owed), string.format('%.0f', owed + cost - most)}
end
owed = owed + cost
-- Freed first, so that a full Redis still lets tenants read and delete; see the prelude.
redis.call('DEL', ARGV[1])
redis.call('SET', ARGV[1], string.format('%.0f', at + owed), 'PX', math.ceil(owed / 1000))
return {1, string.format('%.0f', owed), '0'}
