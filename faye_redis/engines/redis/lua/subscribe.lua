-- Subscribe a client to channels or patterns, all of them or none.
-- KEYS    clients:<id>, clients, grace, last_id,
--         then channels:<channel> for each channel
-- ARGV    client id, client_timeout in ms, prefix of workers' channels, lifetime of channels in ms,
--         message id from which it counts ('': from now on), subscriptions and patterns that the
--         client may have ('': any number), then the channels
-- Returns {1, that message id, channels not subscribed before ...}, {0} if there is no such
--         client, or {-1, the option that does not allow so many}
-- Tells   the worker that holds the client, if anything changed: "changed". It hears that before
--         any message that counts by it.
-- Guarantee: atomic, idempotent; from now on, every message with an id above the present
-- last_id counts.
local client_id, lifetime = ARGV[1], ARGV[4]
local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
local seen = tonumber(redis.call('ZSCORE', KEYS[2], client_id) or 0)
local expired = seen < now - ARGV[2] and seen < (redis.call('GET', KEYS[3]) or now) - ARGV[2]
local client = redis.call('HMGET', KEYS[1], 'epoch', 'poll', 'stream')
if expired or not client[1] then
  return {0}
end

if ARGV[6] ~= '' or ARGV[7] ~= '' then
  local known, count, wildcards, grows = {}, 0, 0, false
  local function add(name, is_new)
    if string.sub(name, 1, 1) == '/' and not known[name] then
      known[name], count, grows = true, count + 1, grows or is_new
      wildcards = wildcards + (string.sub(name, -1) == '*' and 1 or 0)
    end
  end
  for _, field in ipairs(redis.call('HKEYS', KEYS[1])) do
    add(field, false)
  end
  for i = 8, #ARGV do
    add(ARGV[i], true)
  end
  if grows and count > (tonumber(ARGV[6]) or count) then
    return {-1, 'max_subscriptions'}
  elseif grows and wildcards > (tonumber(ARGV[7]) or wildcards) then
    return {-1, 'max_wildcards'}
  end
end

local from = ARGV[5] ~= '' and ARGV[5] or redis.call('GET', KEYS[4])
  or string.format('%.0f', time[1] * 1000000 + time[2])
local result = {1, from}
for i = 8, #ARGV do
  local subscribers = KEYS[i - 3]
  redis.call('SADD', subscribers, client_id)
  if redis.call('PTTL', subscribers) < lifetime / 2 then
    redis.call('PEXPIRE', subscribers, lifetime)
  end
  if redis.call('HSETNX', KEYS[1], ARGV[i], from) == 1 then
    result[#result + 1] = ARGV[i]
  end
end
if #result > 2 then
  local version = redis.call('HINCRBY', KEYS[1], 'version', 1)
  local holder = client[2] or string.match(client[3] or '', '^(.*)/' .. client[1] .. '!?$')
  if holder then
    redis.call('PUBLISH', ARGV[3] .. holder,
      table.concat({'changed', client_id, version, from}, ' '))
  end
end
return result
