-- Create a client and mark it seen.
-- KEYS    clients:<id>, clients
-- ARGV    client id, lifetime of the client's keys in ms, 1 if the client acknowledges, its user,
--         its binding
-- Returns 1
-- Guarantee: atomic; repeating it changes nothing but the time seen.
local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
redis.call('HSETNX', KEYS[1], 'epoch', 0)
redis.call('HSETNX', KEYS[1], 'kept', time[1])
if ARGV[3] == '1' then
  redis.call('HSET', KEYS[1], 'acknowledges', 1)
end
for i, field in ipairs({'user', 'binding'}) do
  if ARGV[3 + i] ~= '' then
    redis.call('HSET', KEYS[1], field, ARGV[3 + i])
  end
end
redis.call('PEXPIRE', KEYS[1], ARGV[2])
redis.call('ZADD', KEYS[2], now, ARGV[1])
return 1
