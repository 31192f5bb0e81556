-- Read a client's state again, for the connection that holds it.
-- KEYS    clients:<id>
-- ARGV    epoch
-- Returns {1, epoch, version, cursor, '', {}, {field, value ...}, 0, 1 if the client
--         acknowledges}, {0} if there is no such client, {2} if a newer connection holds it
local client = redis.call('HMGET', KEYS[1], 'epoch', 'version', 'cursor', 'acknowledges')
if not client[1] then
  return {0}
end
if client[1] ~= ARGV[1] then
  return {2}
end
return {1, tonumber(client[1]), tonumber(client[2] or 0), client[3] or '0', '', {},
  redis.call('HGETALL', KEYS[1]), 0, client[4] == '1' and 1 or 0}
