-- consumer, then the ticket it has read already and the job named in it, if any.
local consumer = ARGV[1]
if ARGV[2] then
  if #redis.call('XPENDING', K.queue, K.group, ARGV[2], ARGV[2], 1, consumer) == 0 then
    return {} -- reclaimed, perhaps ended, while its reader stalled: it must not be exchanged for a waiting job's
  end
  return assign(ARGV[2], ARGV[3])
end
-- Tickets that a leaving runner gave back come before new ones.
local back = redis.call('XPENDING', K.queue, K.group, '-', '+', 1, K.given_back)
if #back > 0 then
  local claimed = redis.call('XCLAIM', K.queue, K.group, consumer, 0, back[1][1])
  if claimed[1] then
    return assign(claimed[1][1], field_of(claimed[1][2], 'job'))
  end
  redis.call('XACK', K.queue, K.group, back[1][1])
end
local read = redis.call('XREADGROUP', 'GROUP', K.group, consumer, 'COUNT', 1, 'STREAMS', K.queue, '>')
if not read or not read[1] then
  return {}
end
local entry = read[1][2][1]
return assign(entry[1], field_of(entry[2], 'job'))
