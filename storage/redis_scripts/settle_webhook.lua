-- id, run, receiver, token, "delivered", "retried" or "given_up", seconds until the next try, cause
local id, run, receiver, outcome = ARGV[1], ARGV[2], ARGV[3], ARGV[5]
local key, name = K.webhooks .. id, ARGV[1] .. ' ' .. ARGV[2]
local kept = redis.call('HMGET', key, run .. ':token', run .. ':tries')
if kept[1] ~= ARGV[4] then
  return 0 -- claimed by another, settled before, or its job was deleted
end
redis.call('HDEL', key, run .. ':token')
if outcome == 'retried' then
  redis.call('HINCRBY', key, run .. ':tries', 1)
  redis.call('ZADD', K.outbox_of .. receiver, stamp(now() + tonumber(ARGV[6])), name)
else
  redis.call('HDEL', key, run, run .. ':url', run .. ':tries')
  redis.call('ZREM', K.outbox_of .. receiver, name)
end
if outcome == 'given_up' then
  redis.call('XADD', K.dead_webhooks, 'MAXLEN', '~', K.dead_kept, '*', 'job', id, 'run', run,
    'receiver', receiver, 'tries', kept[2] + 1, 'cause', ARGV[7])
end
set_receiver(receiver)
redis.call('HINCRBY', K.stats, 'webhooks_' .. outcome, 1)
return 1
