-- idle_ms
local gone = 0
if redis.call('EXISTS', K.queue) == 0 then
  return 0
end
for _, consumer in ipairs(redis.call('XINFO', 'CONSUMERS', K.queue, K.group)) do
  if field_of(consumer, 'pending') == 0 and field_of(consumer, 'idle') >= tonumber(ARGV[1]) then
    redis.call('XGROUP', 'DELCONSUMER', K.queue, K.group, field_of(consumer, 'name'))
    gone = gone + 1
  end
end
return gone
