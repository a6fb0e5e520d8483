-- id, attempt, stage, progress, then name and key of each finished file
local id = ARGV[1]
local key = K.job .. id
local job = redis.call('HMGET', key, 'state', 'attempt', 'progress', 'begun_by')
-- A new run that waits still has the number of the last attempt of the one before: `begun_by` tells.
if job[1] ~= 'processing' or job[2] ~= ARGV[2] or not job[4] then
  return {'lost'}
end
extend(id)
redis.call('HSET', key, 'stage', ARGV[3], 'progress', math.max(tonumber(job[3]), tonumber(ARGV[4])),
  'updated_at', stamp(now()))
set_files(key, 5)
tell(id)
return {'ok'}
