-- states, parted by commas, then names of hashes. All is read at one moment, also while Redis is full: a
-- transaction would be refused then, whatever is in it.
local counts = {}
for state in string.gmatch(ARGV[1], '[^,]+') do
  counts[#counts + 1] = redis.call('SCARD', K.state .. state)
end
local hashes = {}
for i = 2, #ARGV do
  hashes[#hashes + 1] = redis.call('HGETALL', ARGV[i])
end
local first = redis.call('ZRANGE', K.waiting, 0, 0)
local longest_s = first[1] and seconds_of_run(first[1]) or 0
return {counts, redis.call('ZCARD', K.waiting), stamp(longest_s), hashes}
