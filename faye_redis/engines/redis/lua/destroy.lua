-- Remove a client; first of two steps. The second (leave.lua, then the client's last two keys)
-- is repeated by clean-up if the worker dies between them: the score 0 marks what is unfinished.
-- KEYS    clients:<id>, subscriptions:<id>, clients
-- ARGV    client id, client_timeout in ms, 'expired' to remove it only if it has expired
-- Returns {1 if this call removed the client else 0, server id holding it or '',
--         {channels ...}}, or {-1} if there is nothing to do
-- Guarantee: atomic, idempotent; exactly one of several callers is told 1.
local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
local seen = redis.call('ZSCORE', KEYS[3], ARGV[1])
local expired = seen and tonumber(seen) < now - ARGV[2]
if not seen or expired ~= (ARGV[3] == 'expired') then
  return {-1}
end
local holder = redis.call('HGET', KEYS[1], 'server_id') or ''
redis.call('ZADD', KEYS[3], 0, ARGV[1])
return {redis.call('DEL', KEYS[1]), holder, redis.call('HKEYS', KEYS[2])}
