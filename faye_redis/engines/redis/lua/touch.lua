-- Mark a client seen, if it exists.
-- KEYS    clients:<id>, clients
-- ARGV    client id, client_timeout in ms
-- Returns {1, server id of the worker with a stream that lost the client to another connection, or
--         ''}, or {0} if there is no such client (any more)
local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
local seen = tonumber(redis.call('ZSCORE', KEYS[2], ARGV[1]) or 0)
local client = redis.call('HMGET', KEYS[1], 'created_at', 'epoch', 'stream_epoch', 'stream_server')
if seen < now - ARGV[2] or not client[1] then
  return {0}
end
redis.call('ZADD', KEYS[2], now, ARGV[1])
return {1, client[3] and client[3] ~= client[2] and client[4] or ''}
