-- Record what a poll is answered with; the reply may only go out if this says so.
-- KEYS    clients:<id>
-- ARGV    epoch, version, connect id, position: everything up to it is in the reply
-- Returns 'recorded', 'changed' (subscriptions), 'replaced' (by a newer connect), 'repeated'
--         (the same connect id came again), or 'gone'
-- Guarantee: a connect id has one answer; it is decided here. No worker holds the client then.
-- Of a client that acknowledges, "sent" is the highest position of all answers.
local client = redis.call('HMGET', KEYS[1], 'epoch', 'version', 'connect_id', 'acknowledges', 'sent')
if not client[1] then
  return 'gone'
end
if client[1] ~= ARGV[1] then
  return ARGV[3] ~= '' and client[3] == ARGV[3] and 'repeated' or 'replaced'
end
if (client[2] or '0') ~= ARGV[2] then
  return 'changed'
end
if not client[4] or tonumber(ARGV[4]) > tonumber(client[5] or 0) then
  redis.call('HSET', KEYS[1], 'sent', ARGV[4])
end
redis.call('HDEL', KEYS[1], 'poll')
return 'recorded'
