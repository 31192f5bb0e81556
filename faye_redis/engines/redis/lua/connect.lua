-- Take a client's connection over for one worker, and mark the client seen.
-- KEYS    clients:<id>, subscriptions:<id>, clients, grace, last_id
-- ARGV    client id, server id, connect id ('' if none), 1 if the connection is a socket,
--         client_timeout in ms, lifetime of the client's keys in ms, prefix of workers' channels,
--         position that the client acknowledges or ''
-- Returns {1, epoch, version, cursor, position to repeat to or '', {owed ...}, {channel, from id,
--         ...}, 1 if the lifetime of the client's keys was extended and its channels' should be,
--         1 if the client acknowledges},
--         or {0} if there is no such client or the request is stale. Of each stream that is owed:
--         server id, epoch, 1 if it follows, how many heard that it is released
-- Tells   the worker that holds the client, and those with streams that are owed: "released"
-- Guarantee: atomic. Every connect raises the epoch; writes of older connections are refused by it.
-- A connect id later than the latest confirms what that one was answered with; an equal one that
-- was answered asks for the same answer again; an earlier one is stale and touches nothing. For a
-- client that acknowledges only that confirms, and never more than it was sent.
local LONGEST_COUNTER, LONGEST_OWED = 16, 1000

local function precedes(id, latest)
  if id == '' or #id > LONGEST_COUNTER or #latest > LONGEST_COUNTER then
    return false
  end
  return #id < #latest or (#id == #latest and id < latest)
end

local client_id, server_id, connect_id, stream = ARGV[1], ARGV[2], ARGV[3], ARGV[4] == '1'
local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
local seen = tonumber(redis.call('ZSCORE', KEYS[3], client_id) or 0)
local client = redis.call('HMGET', KEYS[1], 'created_at', 'epoch', 'version', 'cursor', 'sent',
  'connect_id', 'server_id', 'kept_at', 'owed', 'acknowledges')
local latest, sent = client[6] or '', client[5]
local expired = seen < now - ARGV[5] and seen < (redis.call('GET', KEYS[4]) or now) - ARGV[5]
if expired or not client[1] or precedes(connect_id, latest) then
  return {0}
end

local epoch, cursor = (client[2] or 0) + 1, client[4] or '0'
local acknowledges = client[10] == '1'
local repeated = connect_id ~= '' and connect_id == latest
local repeat_to = repeated and not stream and not acknowledges and sent or ''
local confirmed
if acknowledges then
  local given = tonumber(ARGV[8])
  confirmed = given and sent and given <= tonumber(sent) and ARGV[8]
elseif sent and not repeated and (connect_id ~= '' or not stream) then
  confirmed = sent
end
if confirmed and tonumber(confirmed) > tonumber(cursor) then
  cursor = confirmed
  redis.call('HSET', KEYS[1], 'cursor', cursor)
end
if sent and repeat_to == '' and not acknowledges then
  redis.call('HDEL', KEYS[1], 'sent')
end
redis.call('HSET', KEYS[1], 'epoch', epoch, 'server_id', server_id,
  'connect_id', connect_id ~= '' and connect_id or latest)

local told = {[server_id] = 1}
local function tell(server)
  if not told[server] then
    told[server] = redis.call('PUBLISH', ARGV[7] .. server,
      table.concat({'released', client_id, epoch, redis.call('GET', KEYS[5]) or 0}, ' '))
  end
  return told[server]
end
if client[7] then
  tell(client[7])
end
local owed, streams = client[9] or '', {}
for entry in string.gmatch(owed, '%S+') do
  local server, number, own = string.match(entry, '^(.*)/(%d+)(!?)$')
  for _, value in ipairs({server, tonumber(number), own == '' and 1 or 0, tell(server)}) do
    streams[#streams + 1] = value
  end
end
if stream then
  owed = (#owed < LONGEST_OWED and owed .. ' ' or '') .. server_id .. '/' .. epoch .. '!'
  redis.call('HSET', KEYS[1], 'stream_server', server_id, 'owed', owed)
end

redis.call('ZADD', KEYS[3], now, client_id)
local keep = 0
if now - (client[8] or client[1]) > ARGV[6] / 2 then
  keep = 1
  redis.call('HSET', KEYS[1], 'kept_at', now)
  redis.call('PEXPIRE', KEYS[1], ARGV[6])
  redis.call('PEXPIRE', KEYS[2], ARGV[6])
end
return {1, epoch, tonumber(client[3] or 0), cursor, repeat_to, streams,
  redis.call('HGETALL', KEYS[2]), keep, acknowledges and 1 or 0}
