-- Mark a client seen, if it exists.
-- KEYS    clients:<id>, clients, grace
-- ARGV    client id, client_timeout in ms, then, if a connect came whose answer goes by the client's
--         stream: its id, prefix of workers' channels
-- Returns 1, 2 if it is a client that acknowledges, or 0 if there is no such client (any more)
-- Tells   the worker that has the stream: "connected"
local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
local seen = tonumber(redis.call('ZSCORE', KEYS[2], ARGV[1]) or 0)
local client = redis.call('HMGET', KEYS[1], 'epoch', 'stream', 'acknowledges')
local expired = seen < now - ARGV[2] and seen < (redis.call('GET', KEYS[3]) or now) - ARGV[2]
if expired or not client[1] then
  return 0
end
redis.call('ZADD', KEYS[2], now, ARGV[1])
if ARGV[3] and client[2] then
  local server = string.match(client[2], '^(.*)/')
  redis.call('PUBLISH', ARGV[4] .. server, 'connected ' .. ARGV[1] .. ' ' .. ARGV[3])
end
return client[3] and 2 or 1
