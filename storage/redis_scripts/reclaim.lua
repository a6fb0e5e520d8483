-- consumer, min_idle_ms, limit, then entries that the consumer itself is at work on
local consumer, min_idle_ms, limit = ARGV[1], tonumber(ARGV[2]), tonumber(ARGV[3])
-- Idle times went on while Redis was down: after a restart every runner first gets one lease's time to beat.
local up_s = string.match(redis.call('INFO', 'server'), 'uptime_in_seconds:(%d+)')
if tonumber(up_s) * 1000 < min_idle_ms then
  return {}
end
local held = {}
for i = 4, #ARGV do
  held[ARGV[i]] = true
end
local taken = {}
local idle = redis.call('XPENDING', K.queue, K.group, 'IDLE', ARGV[2], '-', '+', limit + #ARGV - 3)
for _, pending in ipairs(idle) do
  if #taken < limit and not held[pending[1]] then
    local claimed = redis.call('XCLAIM', K.queue, K.group, consumer, ARGV[2], pending[1])
    if claimed[1] then
      taken[#taken + 1] = assign(claimed[1][1], field_of(claimed[1][2], 'job'))
    else
      redis.call('XACK', K.queue, K.group, pending[1])
    end
  end
end
return taken
