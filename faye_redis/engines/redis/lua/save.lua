-- Record how far a client is known to have come.
-- KEYS    clients:<id>
-- ARGV    client id, server id, epoch, version of the subscriptions for which the position holds,
--         position, standing (own, follows, ended, taken), prefix of workers' channels
-- Returns 1, or 0 if the connection is not the newest and its position not owed
-- Tells   the holder of the client, if that is a newer connection: "delivered"
-- Guarantee: atomic, idempotent; a cursor never moves back, nor past the start of a subscription
-- that the position does not hold for.
local client_id, server_id, epoch, standing = ARGV[1], ARGV[2], ARGV[3], ARGV[6]
local client = redis.call('HMGET', KEYS[1], 'epoch', 'version', 'cursor', 'stream', 'owed', 'poll')
local newest, stream, owed = client[1] == epoch, client[4] or '', client[5]
local entry = server_id .. '/' .. epoch
local function is_meant(one)
  return one == entry or one == entry .. '!'
end
local found, rest = newest and is_meant(stream), {}
for one in string.gmatch(owed or '', '%S+') do
  if is_meant(one) then
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
  local fields = redis.call('HGETALL', KEYS[1])
  for i = 1, #fields, 2 do
    local start = string.sub(fields[i], 1, 1) == '/' and tonumber(fields[i + 1])
    if start and start >= tonumber(cursor) and start < tonumber(position) then
      position = fields[i + 1]
    end
  end
end
if tonumber(position) > tonumber(cursor) then
  cursor = position
  redis.call('HSET', KEYS[1], 'cursor', cursor)
end

if owed and (#rest == 0 or (newest and standing ~= 'ended')) then
  redis.call('HDEL', KEYS[1], 'owed')
elseif owed then
  redis.call('HSET', KEYS[1], 'owed', table.concat(rest, ' '))
end
if streaming then
  redis.call('HSET', KEYS[1], 'stream', entry .. (standing == 'own' and '!' or ''))
elseif newest and standing == 'ended' then
  redis.call('HDEL', KEYS[1], 'stream')
end
local holder = client[6] or string.match(stream, '^(.*)/' .. client[1] .. '!?$')
if not newest and holder then
  redis.call('PUBLISH', ARGV[7] .. holder,
    table.concat({'delivered', client_id, server_id, epoch, cursor}, ' '))
end
return 1
