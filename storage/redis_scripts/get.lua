-- id
return {redis.call('HGETALL', K.job .. ARGV[1]), place_in_line(ARGV[1])}
