-- consumer, entries. Renews what is still this consumer's own; never takes it back from another.
local ours = {}
for i = 2, #ARGV do
  local pending = redis.call('XPENDING', K.queue, K.group, ARGV[i], ARGV[i], 1, ARGV[1])
  if #pending > 0 then
    redis.call('XCLAIM', K.queue, K.group, ARGV[1], 0, ARGV[i], 'JUSTID')
    ours[#ours + 1] = ARGV[i]
  end
end
return ours
