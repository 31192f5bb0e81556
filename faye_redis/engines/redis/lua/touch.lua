-- Mark a client seen, if it exists.
-- KEYS    clients:<id>, clients
-- ARGV    client id, client_timeout in ms
-- Returns 1, or 0 if there is no such client (any more)
local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
local seen = tonumber(redis.call('ZSCORE', KEYS[2], ARGV[1]) or 0)
if seen < now - ARGV[2] or redis.call('EXISTS', KEYS[1]) == 0 then
  return 0
end
redis.call('ZADD', KEYS[2], now, ARGV[1])
return 1
