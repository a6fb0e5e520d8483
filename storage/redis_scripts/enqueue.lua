-- id, request, num_objects, max_queued, ttl_s, idempotency key, digest of the request, most of one owner,
-- callback or ""
local id, request, num_objects = ARGV[1], ARGV[2], ARGV[3]
local key = K.job .. id
local job = redis.call('HMGET', key, 'state', 'run', 'owner')
if not job[1] then
  return {'missing'}
end
local before = redis.call('HGET', K.run_keys .. id, ARGV[6])
if before then
  local run, count, same = string.match(before, '^(%d+) (%d+) (%x+)$')
  if same ~= ARGV[7] then
    return {'reused'}
  end
  return {'ok', run, count, 1}
end
if job[1] == 'processing' then
  return {'busy'}
end
if redis.call('ZCARD', K.waiting) >= tonumber(ARGV[4]) then
  return {'full'}
end
if redis.call('ZCARD', lane_of(job[3])) >= tonumber(ARGV[8]) then
  return {'owner_full'}
end
local run = tonumber(job[2]) + 1
local entry = redis.call('XADD', K.queue, '*', 'job', id, 'run', run)
local order = redis.call('INCR', K.order)
forget_files(key)
redis.call('HDEL', key, 'error', 'result', 'begun_by', 'begun_at', 'callback')
redis.call('HSET', key, 'stage', 'queued', 'progress', 0, 'run', run, 'tries', 0, 'request', request,
  'num_objects', num_objects, 'updated_at', stamp(now()), 'accepted_at', stamp(now()), 'ttl_s', ARGV[5],
  'entry', entry, 'order', order)
if ARGV[9] ~= '' then
  redis.call('HSET', key, 'callback', ARGV[9])
end
redis.call('HSET', K.tickets, entry, id)
line_up(id, order)
redis.call('HSET', K.run_keys .. id, ARGV[6], run .. ' ' .. num_objects .. ' ' .. ARGV[7])
move(id, job[1], 'processing')
extend(id)
tell(id)
return {'ok', run, num_objects, 0}
