-- id
return {redis.call('HGETALL', K.job .. ARGV[1]), redis.call('ZRANK', K.waiting, ARGV[1])}
