-- Undo subscriptions of a client.
-- KEYS    clients:<id>, clients, grace,
--         then channels:<channel>, messages:<channel> and trimmed:<channel> for each channel
-- ARGV    client id, client_timeout in ms, prefix of workers' channels, then the channels
-- Returns {1, channels that were subscribed ...}, or {0} if there is no such client
-- Tells   the worker that holds the client, if anything changed: "changed"
-- Guarantee: atomic, idempotent; a log goes with its last subscriber.
local client_id = ARGV[1]
local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
local seen = tonumber(redis.call('ZSCORE', KEYS[2], client_id) or 0)
local expired = seen < now - ARGV[2] and seen < (redis.call('GET', KEYS[3]) or now) - ARGV[2]
local client = redis.call('HMGET', KEYS[1], 'epoch', 'poll', 'stream')
if expired or not client[1] then
  return {0}
end

local result = {1}
for i = 4, #ARGV do
  local subscribers, log, trimmed = KEYS[3 * i - 8], KEYS[3 * i - 7], KEYS[3 * i - 6]
  if redis.call('HDEL', KEYS[1], ARGV[i]) == 1 then
    result[#result + 1] = ARGV[i]
  end
  redis.call('SREM', subscribers, client_id)
  if redis.call('EXISTS', subscribers) == 0 then
    redis.call('DEL', log, trimmed)
  end
end
if #result > 1 then
  local version = redis.call('HINCRBY', KEYS[1], 'version', 1)
  local holder = client[2] or string.match(client[3] or '', '^(.*)/' .. client[1] .. '!?$')
  if holder then
    redis.call('PUBLISH', ARGV[3] .. holder, 'changed ' .. client_id .. ' ' .. version)
  end
end
return result
