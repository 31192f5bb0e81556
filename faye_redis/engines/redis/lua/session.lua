-- Read a client's state again, for the connection that holds it.
-- KEYS    clients:<id>
-- ARGV    epoch
-- Returns {1, epoch, version, cursor, '', {}, {channel, from id, ...}, 0, 1 if the client
--         acknowledges}, {0} if there is no such client, {2} if a newer connection holds it
local client, subscriptions, fields = {}, {}, redis.call('HGETALL', KEYS[1])
for i = 1, #fields, 2 do
  if string.sub(fields[i], 1, 1) == '/' then
    subscriptions[#subscriptions + 1] = fields[i]
    subscriptions[#subscriptions + 1] = fields[i + 1]
  else
    client[fields[i]] = fields[i + 1]
  end
end
if not client.epoch then
  return {0}
end
if client.epoch ~= ARGV[1] then
  return {2}
end
return {1, tonumber(client.epoch), tonumber(client.version or 0), client.cursor or '0', '', {},
  subscriptions, 0, client.acknowledges == '1' and 1 or 0}
