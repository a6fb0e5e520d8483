-- id, entry, attempt, "ready" or "error", result or error text, increments as JSON, then files
local id, entry, attempt, to = ARGV[1], ARGV[2], ARGV[3], ARGV[4]
local key = K.job .. id
local job = redis.call('HMGET', key, 'state', 'attempt', 'entry')
if job[2] == attempt and job[1] == to and not job[3] then
  -- Sent again because the answer was lost on the way: it is done.
  return {'ok'}
end
if job[1] ~= 'processing' or job[2] ~= attempt or job[3] ~= entry then
  return {'lost'}
end
drop_entry(entry)
redis.call('HDEL', key, 'entry', 'begun_by')
if to == 'ready' then
  redis.call('HSET', key, 'result', ARGV[5], 'stage', 'ready', 'progress', 100)
else
  redis.call('HSET', key, 'error', ARGV[5])
  forget_files(key) -- the runner removes them
end
redis.call('HSET', key, 'updated_at', stamp(now()))
set_files(key, 7)
move(id, 'processing', to)
count_end(id, to)
for _, step in ipairs(cjson.decode(ARGV[6])) do
  redis.call('HINCRBYFLOAT', step[1], step[2], step[3])
end
extend(id)
call_back(id)
tell(id)
return {'ok'}
