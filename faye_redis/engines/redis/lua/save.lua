-- Record how far a socket's client has received.
-- KEYS    clients:<id>
-- ARGV    epoch, version of the subscriptions for which the position holds, position,
--         1 if the socket is gone
-- Returns 1, or 0 if the connection is no longer the newest
-- Guarantee: a cursor never moves back, nor past what a newer subscription has not got yet.
local client = redis.call('HMGET', KEYS[1], 'epoch', 'cursor', 'version')
if client[1] ~= ARGV[1] then
  return 0
end
if ARGV[4] == '1' then
  redis.call('HDEL', KEYS[1], 'server_id', 'stream_server', 'stream_epoch')
end
if (client[3] or '0') == ARGV[2] and tonumber(ARGV[3]) > tonumber(client[2] or 0) then
  redis.call('HSET', KEYS[1], 'cursor', ARGV[3])
end
return 1
