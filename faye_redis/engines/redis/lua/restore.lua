-- Put a client back that Redis has lost, as a worker remembers it.
-- KEYS    clients:<id>, removed:<id>, clients, restoring,
--         then channels:<channel> for each subscription
-- ARGV    client id, server id, lifetime of the keys in ms, epoch, version, cursor, connect id,
--         position that this was answered with or '', 1 if the connection is a socket, 1 if it is
--         open, 1 if the client acknowledges, its user, its binding, then channel and from id of
--         each subscription
-- Returns 1, or 0 if nothing is being restored, or a newer connection of the client is there
-- Guarantee: atomic, idempotent; of several workers the one with the newest connection wins.
local client_id, server_id, lifetime, epoch = ARGV[1], ARGV[2], ARGV[3], ARGV[4]
local known = redis.call('HGET', KEYS[1], 'epoch')
if redis.call('EXISTS', KEYS[4]) == 0 or (known and tonumber(known) >= tonumber(epoch)) then
  return 0
end

local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
redis.call('DEL', KEYS[1], KEYS[2])
redis.call('HSET', KEYS[1], 'epoch', epoch, 'kept', time[1], 'version', ARGV[5], 'cursor', ARGV[6],
  'connect_id', ARGV[7])
if ARGV[8] ~= '' then
  redis.call('HSET', KEYS[1], 'sent', ARGV[8])
end
if ARGV[9] == '1' then
  redis.call('HSET', KEYS[1], 'stream', server_id .. '/' .. epoch .. '!')
elseif ARGV[10] == '1' then
  redis.call('HSET', KEYS[1], 'poll', server_id)
end
if ARGV[11] == '1' then
  redis.call('HSET', KEYS[1], 'acknowledges', 1)
end
for i, field in ipairs({'user', 'binding'}) do
  if ARGV[11 + i] ~= '' then
    redis.call('HSET', KEYS[1], field, ARGV[11 + i])
  end
end
redis.call('PEXPIRE', KEYS[1], lifetime)
redis.call('ZADD', KEYS[3], now, client_id)
for i = 14, #ARGV, 2 do
  local subscribers = KEYS[(i - 14) / 2 + 5]
  redis.call('HSET', KEYS[1], ARGV[i], ARGV[i + 1])
  redis.call('SADD', subscribers, client_id)
  redis.call('PEXPIRE', subscribers, lifetime)
end
return 1
