-- Remove a client; first of two steps. The second (leave.lua, then what is left of the client)
-- is repeated by clean-up if the worker dies between them: the score 0 marks what is unfinished.
-- KEYS    clients:<id>, removed:<id>, clients, grace, alive, kicked:<id>
-- ARGV    client id, client_timeout in ms, prefix of workers' channels, name of this call, why:
--         'expired' removes it only if it has expired, and time without any worker does not count;
--         'kicked' leaves a note of that
-- Returns {1 if this call removed the client else 0, channels ...}, or {-1} if there is nothing to
--         do
-- Tells   the workers that hold the client or have a stream of it: "destroyed", and if kicked
-- Guarantee: atomic; repeating a call gives the same answer until the second step is done; exactly
-- one of several calls is told 1.
local OUTAGE = 5000  -- ms without any worker
local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
local seen = redis.call('ZSCORE', KEYS[3], ARGV[1])
local alive = redis.call('GET', KEYS[5])
alive = alive and now - alive > OUTAGE and alive
local expired = seen and tonumber(seen) < (redis.call('GET', KEYS[4]) or alive or now) - ARGV[2]
local repeated = redis.call('HGET', KEYS[2], 'call') == ARGV[4]
if not repeated and (not seen or expired ~= (ARGV[5] == 'expired')) then
  return {-1}
end

local client = redis.call('HMGET', KEYS[1], 'epoch', 'poll', 'stream')
redis.call('ZADD', KEYS[3], 0, ARGV[1])
if client[1] then
  redis.call('RENAME', KEYS[1], KEYS[2])
  redis.call('HSET', KEYS[2], 'call', ARGV[4])
end
local kicked = ARGV[5] == 'kicked'
if kicked then
  redis.call('SET', KEYS[6], 1, 'PX', ARGV[2])
end
local streaming = string.match(client[3] or '', '^(.*)/') or ''
for server in pairs({[client[2] or ''] = 1, [streaming] = 1}) do
  if server ~= '' then
    redis.call('PUBLISH', ARGV[3] .. server,
      'destroyed ' .. ARGV[1] .. (kicked and ' kicked' or ''))
  end
end
local result = {(client[1] or repeated) and 1 or 0}
for _, field in ipairs(redis.call('HKEYS', KEYS[2])) do
  if string.sub(field, 1, 1) == '/' then
    result[#result + 1] = field
  end
end
return result
