-- token, lease_s, limit, most at once to one receiver, then receiver and how many are under way to it
local token, lease, limit, per_receiver = ARGV[1], tonumber(ARGV[2]), tonumber(ARGV[3]), tonumber(ARGV[4])
local under_way = {}
for i = 5, #ARGV, 2 do
  under_way[ARGV[i]] = tonumber(ARGV[i + 1])
end
local at = now()
local claimed = {}
local receivers =
  redis.call('ZRANGEBYSCORE', K.outbox, '-inf', stamp(at), 'LIMIT', 0, limit + (#ARGV - 4) / 2)
for _, receiver in ipairs(receivers) do
  local room = math.min(per_receiver - (under_way[receiver] or 0), limit - #claimed)
  if room > 0 then
    redis.call('ZREM', K.outbox, receiver) -- frees first: a full store can still be emptied
    local of = K.outbox_of .. receiver
    for _, name in ipairs(redis.call('ZRANGEBYSCORE', of, '-inf', stamp(at), 'LIMIT', 0, room)) do
      local id, run = string.match(name, '^(%x+) (%d+)$')
      local kept = redis.call('HMGET', K.webhooks .. id, run, run .. ':url', run .. ':tries')
      if kept[1] then
        redis.call('ZADD', of, stamp(at + lease), name)
        redis.call('HSET', K.webhooks .. id, run .. ':token', token)
        claimed[#claimed + 1] = {receiver, id, run, kept[1], kept[2], kept[3]}
      else
        redis.call('ZREM', of, name) -- its job was deleted, or expired
        redis.call('HINCRBY', K.stats, 'webhooks_dropped', 1)
      end
    end
    set_receiver(receiver)
  end
end
return claimed
