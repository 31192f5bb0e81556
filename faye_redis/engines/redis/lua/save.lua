-- Record how far a client is known to have come.
-- KEYS    clients:<id>, subscriptions:<id>
-- ARGV    client id, server id, epoch, version of the subscriptions for which the position holds,
--         position, standing (own, follows, ended, taken), prefix of workers' channels
-- Returns 1, or 0 if the connection is not the newest and its position not owed
-- Tells   the holder of the client, if that is a newer connection: "delivered"
-- Guarantee: atomic, idempotent; a cursor never moves back, nor past the start of a subscription
-- that the position does not hold for.
local client_id, server_id, epoch, standing = ARGV[1], ARGV[2], ARGV[3], ARGV[6]
local client = redis.call('HMGET', KEYS[1], 'epoch', 'version', 'cursor', 'owed', 'server_id')
local newest = client[1] == epoch
local entry, found, rest = server_id .. '/' .. epoch, false, {}
for one in string.gmatch(client[4] or '', '%S+') do
  if one == entry or one == entry .. '!' then
    found = true
  else
    rest[#rest + 1] = one
  end
end
local streaming = standing == 'own' or standing == 'follows'
if not (newest or found) or (streaming and not (newest and found)) then
  return 0  -- a stream may have ended meanwhile
end

local position, cursor = ARGV[5], client[3] or '0'
if (client[2] or '0') ~= ARGV[4] then
  for _, start in ipairs(redis.call('HVALS', KEYS[2])) do
    if tonumber(start) >= tonumber(cursor) and tonumber(start) < tonumber(position) then
      position = start
    end
  end
end
if tonumber(position) > tonumber(cursor) then
  cursor = position
  redis.call('HSET', KEYS[1], 'cursor', cursor)
end

local owed = table.concat(rest, ' ')
if newest and standing ~= 'ended' then
  local mark = standing == 'own' and '!' or ''
  owed = standing == 'taken' and '' or entry .. mark
end
redis.call('HSET', KEYS[1], 'owed', owed)
if newest and standing == 'ended' then
  redis.call('HDEL', KEYS[1], 'server_id', 'stream_server')
elseif not newest and client[5] then
  redis.call('PUBLISH', ARGV[7] .. client[5],
    table.concat({'delivered', client_id, server_id, epoch, cursor}, ' '))
end
return 1
