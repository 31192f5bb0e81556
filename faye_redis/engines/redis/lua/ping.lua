-- Mark many clients seen; ids that do not exist are passed over.
-- KEYS    clients
-- ARGV    client ids, 1,000 at most
-- Returns 1
local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
for i = 1, #ARGV do
  redis.call('ZADD', KEYS[1], 'XX', now, ARGV[i])
end
return 1
