-- Take a client's connection over for one worker, and mark the client seen.
-- KEYS    clients:<id>, clients, grace, last_id
-- ARGV    client id, server id, connect id ('' if none), 1 if the connection is a socket,
--         client_timeout in ms, lifetime of the client's keys in ms, prefix of workers' channels,
--         position that the client acknowledges or ''
-- Returns {1, epoch, version, cursor, position to repeat to or '', {owed ...}, {field, value ...}
--         as they were before, 1 if the lifetime of the client's keys was extended and its channels' should be,
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
local seen = tonumber(redis.call('ZSCORE', KEYS[2], client_id) or 0)
local client, fields = {}, redis.call('HGETALL', KEYS[1])
for i = 1, #fields, 2 do
  client[fields[i]] = fields[i + 1]
end
local latest, sent = client.connect_id or '', client.sent
local expired = seen < now - ARGV[5] and seen < (redis.call('GET', KEYS[3]) or now) - ARGV[5]
if expired or not client.epoch or precedes(connect_id, latest) then
  return {0}
end

local epoch, cursor = client.epoch + 1, client.cursor or '0'
local changes, dropped = {'HSET', KEYS[1], 'epoch', epoch}, {'HDEL', KEYS[1]}
local function change(field, value)
  changes[#changes + 1] = field
  changes[#changes + 1] = value
end
local acknowledges = client.acknowledges == '1'
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
  change('cursor', cursor)
end
if sent and repeat_to == '' and not acknowledges then
  dropped[#dropped + 1] = 'sent'
end
if connect_id ~= '' then
  change('connect_id', connect_id)
end

local streams = {}
if client.poll or client.stream or client.owed then  -- else nobody is told: most often, with polls
  local told = {[server_id] = 1}
  local function tell(server)
    if not told[server] then
      told[server] = redis.call('PUBLISH', ARGV[7] .. server,
        table.concat({'released', client_id, epoch, redis.call('GET', KEYS[4]) or 0}, ' '))
    end
    return told[server]
  end
  if client.poll then
    tell(client.poll)
  end
  local owed = client.owed or ''
  if string.match(client.stream or '', '/(%d+)!?$') == client.epoch then
    change('owed', (#owed < LONGEST_OWED and owed .. ' ' or '') .. client.stream)
    owed = owed .. ' ' .. client.stream
  end
  for entry in string.gmatch(owed, '%S+') do
    local server, number, own = string.match(entry, '^(.*)/(%d+)(!?)$')
    for _, value in ipairs({server, tonumber(number), own == '' and 1 or 0, tell(server)}) do
      streams[#streams + 1] = value
    end
  end
end
if stream then
  change('stream', server_id .. '/' .. epoch .. '!')
  dropped[#dropped + 1] = 'poll'
else
  change('poll', server_id)
end

-- Not by the key's own lifetime: a worker that holds the client extends that, not its channels'.
local keep = now / 1000 - (client.kept or 0) > ARGV[6] / 2000 and 1 or 0
if keep == 1 then
  change('kept', time[1])
  redis.call('PEXPIRE', KEYS[1], ARGV[6])
end
redis.call(unpack(changes))
if #dropped > 2 then
  redis.call(unpack(dropped))
end
redis.call('ZADD', KEYS[2], now, client_id)
return {1, epoch, tonumber(client.version or 0), cursor, repeat_to, streams, fields, keep,
  acknowledges and 1 or 0}
